"""Counts instructions of the hot paths with callgrind, and compares them with the kept figures: see script/instructions."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

# How much dearer a path may become unseen.
TOLERANCE = 0.03

# Times that a scene is played; where TLS libraries do much, valgrind takes long.
TIMES = {"life": 60}
USUAL = 300

KEPT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "instructions.json")


def count(program, scene, folder):
    """Instructions of one turn, of our own program's code alone: what the TLS library and libc do hangs on the processor, and on which versions of them are installed."""
    times = TIMES.get(scene, USUAL)
    out = os.path.join(folder, f"{scene}.callgrind")
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=*scenes::measured*", f"--callgrind-out-file={out}", program, scene, str(times)]
    # Addresses need not be drawn anew for each run.
    still = ["setarch", "-R"] if shutil.which("setarch") else []
    done = subprocess.run([*still, *command], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"instructions: {scene}: exit code {done.returncode}: {done.stderr.strip()[-600:]}")
    counts = by_object(out)
    ours = [cost for name, cost in counts.items() if os.path.basename(name) == os.path.basename(program)]
    if not ours or not sum(ours):
        sys.exit(f"instructions: {scene}: nothing was collected in {program}: {counts}")
    return sum(ours) / times


def by_object(path):
    """The self cost of each object file. The format: https://valgrind.org/docs/manual/cl-format.html"""
    names, costs, current, called = {}, {}, None, False
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if found := re.match(r"ob=\((\d+)\)(?: (.*))?", line):
                number, name = found.groups()
                if name:
                    names[number] = name.strip()
                current = names[number]
            elif found := re.match(r"cob=\((\d+)\) (.*)", line):
                names[found.group(1)] = found.group(2).strip()
            elif line.startswith("calls="):
                # The next line is what the callee cost.
                called = True
            elif re.match(r"[+\-*\d]", line):
                if not called:
                    costs[current] = costs.get(current, 0) + int(line.split()[1])
                called = False
    return costs


def main():
    program, update, times = sys.argv[1], "--update" in sys.argv, int(next((word for word in sys.argv[2:] if word.isdigit()), 1))
    folder = os.path.join(os.path.dirname(program), "callgrind")
    os.makedirs(folder, exist_ok=True)
    scenes = subprocess.run([program, "list"], capture_output=True, text=True, check=True).stdout.split()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [dict(zip(scenes, pool.map(lambda scene: count(program, scene, folder), scenes))) for _ in range(times)]
    if times > 1:
        for scene in scenes:
            counts = [run[scene] for run in runs]
            print(f"{scene:12} {min(counts):10.0f} to {max(counts):10.0f}, a spread of {100 * (max(counts) / min(counts) - 1):.2f} %")
    made_by = {"compiler": subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip(), "machine": platform.machine()}
    counts = {scene: round(runs[0][scene]) for scene in scenes}
    if update:
        with open(KEPT, "w", encoding="utf-8") as file:
            json.dump(made_by | {"instructions": counts}, file, indent=2)
            file.write("\n")
    else:
        compare(counts, made_by)


def compare(counts, made_by):
    with open(KEPT, encoding="utf-8") as file:
        kept = json.load(file)
    dearer = []
    print(f"{'instructions':12} {'kept':>10} {'now':>10} {'change':>10}")
    for scene, now in counts.items():
        before = kept["instructions"].get(scene)
        change = now / before - 1 if before else None
        told = "new" if change is None else f"{100 * change:+.2f} %"
        print(f"{scene:12} {before or '-':>10} {now:>10} {told:>10}")
        if change is None or change > TOLERANCE:
            dearer.append(scene)
        elif change < -TOLERANCE:
            print(f"instructions: {scene} has become cheaper: `script/instructions --update` keeps that")
    if not dearer:
        return
    for what, mine in made_by.items():
        if kept[what] != mine:
            # Another compiler makes another program.
            print(f"instructions: not judged: the kept figures are of {kept[what]}, this is {mine}")
            return
    sys.exit(
        f"instructions: more than {100 * TOLERANCE:.0f} % dearer than the kept figure, or new: {', '.join(dearer)}\n"
        "instructions: where that is meant, run `script/instructions --update` and commit benches/instructions.json"
    )


main()
