"""Audits of the served bundle and lists: measured again from the bundle, and read from the request log.

request    what an audit measures, and whether a bundle can be measured so
subject    a loaded model as `measure.audit` sees it, through the code that serves
result     one audit of one model, as JSON data
command    the same from the command line, written to files
reader     ends that command when nobody reads its progress any more
child      that command as a process of its own, which nobody waits for
runs       audits that were asked for over HTTP: one after the other, whatever ends in the middle

exposure      what was really served, counted from the request log; one log at a time
count         the count behind one answer: which lists are in it, whose they are, what is left out
tally         what was shown to whom, added up list by list
shares        what a tally says, by `measure.fairness`
requirements  how often each requirement was asked for and applied
catalogues    items of the versions that the request log speaks of
people        one user's lists under every mask, made on the way that requests go
sentences     what protecting an attribute does to a list, in words

Nothing of this is imported here: a running service measures in other processes and need not load what these do.
"""
