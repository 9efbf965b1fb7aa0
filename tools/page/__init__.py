"""What the page is worth: equal to Python, light, quick to start, and smooth."""
