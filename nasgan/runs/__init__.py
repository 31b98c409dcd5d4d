"""What one run leaves behind: its record, history, status, environment, logs. Imports no torch."""
