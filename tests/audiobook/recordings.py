"""Chapters that were spoken_run, and the loudness of what was made of them."""

CHAPTERS = ("الفصل الأول", "Zwei", "الثالث")
