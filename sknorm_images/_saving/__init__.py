"""From images to arrays on disk."""
