"""Models beside models: measured on one machine and one file, changed answers one by one, and which to take at all."""
