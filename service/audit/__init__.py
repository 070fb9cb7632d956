"""Audits of what is served: measured again from its bundle, and read from what was logged.

request    what an audit measures, and whether a bundle can be measured so
subject    a loaded model as `measure.audit` sees it, through the code that serves
result     one audit of one model, as JSON data
command    the same from the command line, written to files
child      that command as a process of its own, which nobody waits for
runs       audits that were asked for over HTTP: one after the other, whatever ends in the middle

Nothing of this is imported here: a running service measures in other processes and need not load what these do.
"""
