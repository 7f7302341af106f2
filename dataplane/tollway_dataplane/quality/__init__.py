"""Behind the replies: was what was served at less cost right? Labels, and what they allow."""
