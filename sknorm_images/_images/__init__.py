"""From bytes to images, and the estimators that give images."""
