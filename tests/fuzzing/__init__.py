"""Damage real JPEG files at random, and hold what JpegLoader makes of them against Pillow.

``python -m tests.fuzzing --help`` says how to run more cases than the tests do.
"""
