"""From images to statistics, and the scalers that apply them."""
