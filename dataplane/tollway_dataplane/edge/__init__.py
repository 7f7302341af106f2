"""HTTP in and out. Parses, renders and maps errors; decides nothing."""
