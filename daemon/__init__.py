"""The DICOM node: receive, read, send, and everything else that talks to the world."""
