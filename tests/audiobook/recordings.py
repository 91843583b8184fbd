"""Chapters that were spoken, and the loudness of what was made of them."""

CHAPTERS = ("الفصل الأول", "Zwei", "الثالث")
