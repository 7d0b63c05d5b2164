"""Colour modes that the package does not have, as somebody would add them: a line each."""

from __future__ import annotations

from sknorm_images._images.color_modes import ColorMode

HSV = ColorMode("HSV", {"hue": "tab:purple", "saturation": "tab:olive", "value": "tab:gray"})
YCBCR = ColorMode("YCbCr", {"luma": "tab:gray", "blueness": "tab:blue", "redness": "tab:red"})
CMYK = ColorMode(
    "CMYK",
    {"cyan": "tab:cyan", "magenta": "tab:pink", "yellow": "tab:olive", "black": "black"},
)
MORE_COLOR_MODES = {"hsv": HSV, "ycbcr": YCBCR, "cmyk": CMYK}
