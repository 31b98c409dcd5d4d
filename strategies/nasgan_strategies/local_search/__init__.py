"""Hill climbing over neighbours."""
