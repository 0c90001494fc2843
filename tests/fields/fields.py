#!/usr/bin/env python3
"""Proves the tables of fields from outside the process: every field that a table calls obeyed is set by a case in which the proxy shows what Envoy
shows, and a proxy that does not read the field shows something else in such a case.

  fields.py --proxy PROGRAM --envoy PROGRAM --runner FOLDER [--draw 30] [--seed N] [--only GLOB] [--jobs 2]

PROGRAM must be a debug build (it has the probe). FOLDER is the comparison suite; cases of our own are in cases/ beside this file, in its form.
Closing line: N passed, N failed, N skipped; a field is one test. Fields that no case sets are in uncovered.txt, which only gets shorter."""
import argparse
import concurrent.futures
import fnmatch
import os
import random
import re
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
# Cases tried for one field before it counts as not noticed: the quickest first.
TRIES = 6


def obeyed(docs):
    """All "message.field" that docs/fields.md calls obeyed."""
    fields, message = set(), None
    for line in open(docs, encoding="utf-8"):
        if line.startswith("## "):
            message = line[3:].strip()
        elif line.startswith("* obeyed: "):
            fields |= {f"{message}.{name.strip()}" for name in line[len("* obeyed: "):].split(",")}
    return fields


class Suite:
    def __init__(self, options):
        sys.path.insert(0, options.runner)
        import envoydiff
        self.diff = envoydiff
        self.root = tempfile.mkdtemp(prefix="tulle-fields-")
        self.certs = envoydiff.Certs(os.path.join(self.root, "certs"))
        self.envoy = envoydiff.command(options.envoy)
        self.proxy = envoydiff.command(options.proxy) + ["--concurrency", "1", "--file-flush-interval-msec", "50", "--drain-time-s", "2", "--drain-strategy", "immediate"]
        self.jobs = options.jobs
        cases = envoydiff.load([os.path.join(options.runner, "cases_open"), os.path.join(HERE, "cases")])
        self.cases = [c for c in cases if not options.only or fnmatch.fnmatchcase(c.name, options.only)]
        self.reference, self.sets = {}, {}

    def run(self, case, command, name, is_ref=False):
        return self.diff.core.run_case(case, command, os.path.join(self.root, name, case.name), self.certs, is_ref)

    def matches(self, case, result):
        return result["status"] == "ok" and result["obs"] == self.reference[case.name]["obs"]

    def look(self, case):
        """Envoy, then the proxy with its probe: which fields an equal case sets."""
        for name in ("ref", "ref2"):
            reference = self.run(case, self.envoy, name, True)
            if reference["status"] == "ok" and not reference["failed"]:
                break
        else:
            return None
        self.reference[case.name] = reference
        for name in ("cand", "cand2"):
            seen = os.path.join(self.root, f"seen-{case.name}-{name}")
            result = self.run(case, ["/usr/bin/env", f"TULLE_FIELDS_SEEN={seen}"] + self.proxy, name)
            if self.matches(case, result):
                fields = set(open(seen, encoding="utf-8").read().split()) if os.path.exists(seen) else set()
                return case, result["seconds"], fields
        return None

    def hidden(self, field, case, name):
        return self.run(case, ["/usr/bin/env", f"TULLE_FIELDS_HIDE={field}"] + self.proxy, name)

    def noticed(self, field):
        """The case that differs when the field is hidden, twice (a loaded machine can disturb once); None when all stay as they were."""
        for _, case in sorted(self.sets[field], key=lambda s: s[0])[:TRIES]:
            if not self.matches(case, self.hidden(field, case, f"hide-{field}")) and not self.matches(case, self.hidden(field, case, f"hide2-{field}")):
                return case.name
        return None

    def each(self, work, items):
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            yield from pool.map(work, items)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxy", required=True)
    parser.add_argument("--envoy", required=True)
    parser.add_argument("--runner", required=True)
    parser.add_argument("--draw", type=int, default=0, help="hide so many fields, drawn by chance; 0 (the default) hides every field")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    table = obeyed(os.path.join(HERE, "..", "..", "docs", "fields.md"))
    listed = {line.strip() for line in open(os.path.join(HERE, "uncovered.txt"), encoding="utf-8") if line.strip() and not line.startswith("#")}
    suite = Suite(options)
    passed, failed, skipped = 0, 0, 0
    try:
        equal = 0
        for found in suite.each(suite.look, suite.cases):
            if found is None:
                continue
            equal += 1
            case, seconds, fields = found
            for field in fields & table:
                suite.sets.setdefault(field, []).append((seconds, case))
        print(f"{equal} of {len(suite.cases)} cases are equal to Envoy; they set {len(suite.sets)} of {len(table)} obeyed fields", flush=True)
        for field in sorted(table - set(suite.sets)):
            if field in listed:
                skipped += 1
                print(f"SKIPPED {field}: no equal case sets it (uncovered.txt)")
            elif not options.only:
                failed += 1
                print(f"FAILED  {field}: is called obeyed, and no equal case sets it; add one to tests/fields/cases")
        for field in sorted(listed & set(suite.sets)):
            print(f"note    {field}: is set by a case now; take it out of uncovered.txt")
        fields = sorted(suite.sets)
        if options.draw:
            seed = options.seed if options.seed is not None else random.randrange(1 << 30)
            print(f"{options.draw} of them are hidden, drawn with --seed {seed}")
            fields = sorted(random.Random(seed).sample(fields, min(options.draw, len(fields))))
        for field, case in zip(fields, suite.each(suite.noticed, fields)):
            if case or f"!{field}" in listed:
                passed += bool(case)
                skipped += not case
                print(f"{'passed ' if case else 'SKIPPED'} {field}: {'hidden, ' + case + ' differs' if case else 'hidden, no case differs (uncovered.txt)'}", flush=True)
            else:
                failed += 1
                print(f"FAILED  {field}: hidden, and all of {', '.join(c.name for _, c in suite.sets[field][:TRIES])} stay equal", flush=True)
    finally:
        shutil.rmtree(suite.root, ignore_errors=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
