"""Lists for many users as one file: made by the code that makes them for requests, and the same lists."""
