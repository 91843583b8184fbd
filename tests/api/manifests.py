"""A manifest for the tests of the library."""

MANIFEST = (
    "id,text\na,السلام عليكم ورحمة الله\nb,Hello to everybody here\nc,One more text to speak\n"
)
