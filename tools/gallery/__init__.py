"""Pictures of digits as people have them, drawn by code; and readers measured on pictures."""
