"""`lora-drop ui`: a page on one's own machine, over a stack or with a fal key alone.

::

    server      starts it: loopback, one token, the browser
    opening     leads the browser to it, without the token on a command line
    app         routes, each state of the page under its own address
    security    who may ask: Host, Origin, the token and its cookie, what a browser may load
    uploads     files from the browser, streamed to the disk
    drafts      datasets that are looked through and not sent yet
    workers     processes that decode pictures
    backends    what the page asks of where trainings run: StackBackend, DirectBackend
    templates/  what a person sees (Jinja2); the contact sheet is the report's own
    static/     style, 400 lines of script at the most, and kept parts under vendor/
"""
