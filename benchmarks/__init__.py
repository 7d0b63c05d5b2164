"""What the project is measured by, and the pages that show the figures.

- ``python -m benchmarks``: beside peers, in time and memory (performance)
- ``python -m benchmarks.stages``: where the time of an image goes (performance)
- ``python -m benchmarks.one_upload``: one image beside a recipe by hand (performance)
- ``python -m benchmarks.python_share`` and ``.many_cores``: calls, Python's lock, and what
  they leave of many cores (performance)
- ``python -m benchmarks.folder_check``: checks of a folder beside CleanVision (data_checks)
- ``python -m benchmarks.many_files`` and ``.backends``: what scheduling costs (scaling)
- ``python -m benchmarks.saved_images``: training from saved images (saved_images)
- ``python -m benchmarks.keras_training`` and ``.imbalance``: training (training_with_keras)
"""
