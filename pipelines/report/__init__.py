"""What people look at: self-contained pages in Russian and English over the marts, with pictures and without scripts.

A section is a few lines in `sections.py`; `write.py` makes the pages.
"""
