"""An operating system plug-in of lldb: the tasks that were chosen by `leaks`, as threads.

lldb loads it by `target.process.python-os-plugin-path`, which leaks_lldb_tasks.py sets. It reads
nothing of the target: names and registers are the engine's.
"""

import struct

import leaks_target
from leaks_lldb_tasks import chosen


class OperatingSystemPlugIn:
    # lldb asks by these names.

    def __init__(self, process):
        self.process = process

    def get_thread_info(self):
        return [
            {"tid": tid, "name": name, "queue": "", "state": "stopped", "stop_reason": "none"}
            for tid, (name, _) in chosen.current(self.process).items()
        ]

    def create_thread(self, tid, context):
        return None

    def get_register_info(self):
        generic = {"rip": "pc", "rsp": "sp", "rbp": "fp", "pc": "pc", "sp": "sp", "fp": "fp",
                   "lr": "ra"}
        registers = []
        for number, name in enumerate(leaks_target.ARCHES[chosen.arch].lldb_names):
            entry = {"name": name, "bitsize": 64, "offset": 8 * number, "encoding": "uint",
                     "format": "hex", "set": 0, "gcc": number, "ehframe": number, "dwarf": number}
            if name in generic:
                entry["generic"] = generic[name]
            registers.append(entry)
        return {"sets": ["General Purpose Registers"], "registers": registers}

    def get_register_data(self, tid):
        names = leaks_target.ARCHES[chosen.arch].lldb_names
        known = chosen.current(self.process).get(tid)
        if known is None:
            return None
        return struct.pack(f"<{len(names)}Q", *(known[1].get(n, 0) for n in range(len(names))))
