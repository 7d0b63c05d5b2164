"""From a path, a URL or a folder to bytes."""
