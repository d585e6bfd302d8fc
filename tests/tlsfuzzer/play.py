"""Plays the scenarios, and the scripts of tlsfuzzer where there is a copy of it, against an echo_server; prints a table.

usage: play.py ECHO_SERVER [TLSFUZZER [CERT KEY]]

exit: 0 when everything came as expected and the ledgers add up, else 1
"""
import pathlib
import subprocess
import sys
import traceback

from scenarios import PLAYS
from scripts import NOT_APPLICABLE, SCRIPTS
from stage import Server


def own(program):
    server, bad = Server(program), 0
    print(f"{'scenario':<48} {'came':<22} {'lost':<20} ok")
    for name, act, expected, reasons in PLAYS:
        try:
            came = act(server.port)
            lost = server.lost()
            ok = came in expected and lost["reason"] in reasons and lost["bytes_unsent"] == 0
            detail = "" if ok else f"NO: expected {' or '.join(expected)}, {' or '.join(reasons)} ({lost['detail']})"
            print(f"{name:<48} {came:<22} {lost['reason']:<20} {detail or 'ok'}", flush=True)
        except Exception:
            ok = False
            print(f"{name:<48} NO: {traceback.format_exc()}", flush=True)
            print("", server.all_lost())
        bad += not ok
    return bad + settled(server)


def settled(server):
    ledger, wrong = server.stop()
    print(f"ledger: {ledger['verdict']}, {ledger['admitted']} admitted, {ledger['connected']} connected, {ledger['by_reason']}")
    for words in wrong:
        print(f"NO: {words}")
    return len(wrong)


def theirs(program, folder, identity):
    server, bad = Server(program, *identity), 0
    print(f"\n{'script of tlsfuzzer':<48} {'came':<22} lost")
    for script, *arguments in SCRIPTS:
        command = [sys.executable, folder / "scripts" / script, "-h", "127.0.0.1", "-p", str(server.port), *arguments]
        # Some of their clocks are short for a busy machine.
        for _ in range(2):
            ok, output = run(command, folder)
            if ok:
                break
        counts = [line for line in output.splitlines() if line.startswith(("PASS:", "FAIL:", "TOTAL:", "XFAIL:", "XPASS:"))]
        counts = {line.split(":")[0]: line.split(":")[1].strip() for line in counts}
        came = f"{counts.get('PASS', '?')} of {counts.get('TOTAL', '?')}"
        reasons = " ".join(f"{reason}={count}" for reason, count in sorted(server.all_lost().items()))
        print(f"{script:<48} {came:<22} {reasons} {'ok' if ok else 'NO'}", flush=True)
        if not ok:
            print("    " + "\n    ".join(output.splitlines()[-25:]))
        bad += not ok
    bad += settled(server)
    print("\nnot applicable:")
    for why, scripts in NOT_APPLICABLE.items():
        print(f"  {why}: {', '.join(scripts)}")
    return bad


def run(command, folder):
    try:
        done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=300)
        return done.returncode == 0, done.stdout + done.stderr
    except subprocess.TimeoutExpired as slow:
        return False, str(slow)


def main():
    program, *rest = sys.argv[1:]
    program = str(pathlib.Path(program).resolve())
    bad = own(program)
    if rest:
        folder, *identity = rest
        options = ["--cert", identity[0], "--key", identity[1]] if identity else []
        bad += theirs(program, pathlib.Path(folder).resolve(), options)
    print(f"\ntlsfuzzer: {'all is well' if bad == 0 else f'{bad} did not come as expected'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
