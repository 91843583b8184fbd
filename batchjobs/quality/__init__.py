"""Whether speech says its text: texts normalised and compared, clips measured, verdicts."""
