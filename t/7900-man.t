#!/usr/bin/env python3
# Every filter has a page, and its options are those of -h; all pages are
# clean, and what they refer to exists.
import glob
import os
import re
import subprocess
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
BUILD = os.environ.get("CB_BUILD", os.path.join(TOP, "build"))
count = 0


def ok(good, name, why=""):
    global count
    count += 1
    print("%sok %d - %s" % ("" if good else "not ", count, name))
    if not good:
        for line in str(why).strip().split("\n"):
            print("# " + line, file=sys.stderr)


def options_of_help(text):
    """{"-s/--size": takes an argument}, a long-only one as "--size"."""
    found = {}
    for line in text.split("\n"):
        # An argument stands one space behind the name, the help further.
        m = re.match(r"  (?:(-.), |    )(--[\w-]+)( \S)?", line)
        if m:
            found["/".join(filter(None, m.group(1, 2)))] = bool(m.group(3))
    return found


def options_of_page(text):
    found = {}
    for line in text.split("\n"):
        if not line.startswith(".It Fl"):
            continue
        flags = re.findall(r"Fl (\S+)", line)
        name = "/".join("-" + f for f in flags)
        found[name] = bool(re.search(r" (Ar|Cm) ", line))
    return found


def main():
    programs = sorted(os.path.basename(p)[:-2] for p in
                      glob.glob(os.path.join(TOP, "filters", "*.c")))
    pages = sorted(glob.glob(os.path.join(TOP, "man", "*.[1-9]")))
    print("1..%d" % (2 * len(programs) + 2 * len(pages)))
    for p in programs:
        page = os.path.join(TOP, "man", p + ".1")
        ok(os.path.exists(page), "%s has a page" % p, page + ": none")
        text = open(page).read() if os.path.exists(page) else ""
        got = subprocess.run([os.path.join(BUILD, "bin", p), "-h"],
                             capture_output=True, text=True)
        a, b = options_of_help(got.stdout), options_of_page(text)
        differ = sorted(k for k in a.keys() | b.keys()
                        if a.get(k) != b.get(k))
        ok(got.returncode == 0 and "-h/--help" in a and not differ,
           "%s: options of -h and page" % p,
           "\n".join("%s: in -h %s, in the page %s" % (k, *(
               {None: "missing", True: "with argument", False: "a flag"}
               [x.get(k)] for x in (a, b))) for k in differ) or got)
    for page in pages:
        name = os.path.basename(page)
        got = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page],
                             capture_output=True, text=True)
        ok(got.returncode == 0 and not got.stdout, "%s is clean" % name,
           got.stdout + got.stderr)
        refs = re.findall(r"^\.Xr ((?:cb-|clipbert)\S*) (\d)",
                          open(page).read(), re.M)
        lost = sorted({"%s.%s" % r for r in refs
                       if not os.path.exists(os.path.join(
                           TOP, "man", "%s.%s" % r))})
        ok(not lost, "%s: pages that it names exist" % name,
           "\n".join(lost))


main()
