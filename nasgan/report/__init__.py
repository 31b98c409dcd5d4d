"""The report: one HTML file about many runs, made from their records; live while a sweep runs."""
