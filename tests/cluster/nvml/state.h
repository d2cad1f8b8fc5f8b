/* The state of the fake devices: a folder of small text files each, which a test rewrites.
 *
 * The state of device UUID is the folder ROOT/UUID, ROOT being $FAKE_NVML_ROOT or /run/fake-nvml. The files are replaced by rename,
 * so a reader sees an old or a new value and never half of one. Every call reads them afresh. A missing file is a default.
 *
 *   memory_total_bytes  default 24 GiB
 *   memory_used_bytes   what other users of the device hold, default 0
 *   engine_bytes, engine_match
 *                       while a process other than the caller has engine_match in its command line (arguments joined by spaces),
 *                       engine_bytes more are used; processes are those of the caller's PID namespace
 *   ecc_enabled         0: the device has no ECC, its counters answer NOT_SUPPORTED; default 1
 *   ecc_uncorrected     count of uncorrected errors, volatile and aggregate alike, all in DRAM; default 0
 *   utilization_gpu     percent, default 0
 *   xid                 one Xid per line; each line added after nvmlDeviceRegisterEvents is one event
 *   hang                while it exists, every call that touches the device blocks
 *   error               an NVML return code; every call that touches the device answers it
 *
 * A file that does not hold what it should makes the call answer UNKNOWN (999) and is named on stderr.
 */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

typedef unsigned long long u64;

/* Return codes of NVML, with the numbers of its public interface. */
typedef int nvmlReturn_t;
enum {
    SUCCESS = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    TIMEOUT = 10,
    GPU_IS_LOST = 15,
    NO_MEMORY = 20,
    ARGUMENT_VERSION_MISMATCH = 25,
    UNKNOWN = 999,
};

enum { UUID_SIZE = 96 };

/* The devices under the root, sorted by UUID, at most `room`; DRIVER_NOT_LOADED if there is no root folder. */
nvmlReturn_t state_scan(char uuids[][UUID_SIZE], unsigned room, unsigned *count);

/* Blocks while the device hangs, then its error if it has one. GPU_IS_LOST if its folder is gone. */
nvmlReturn_t state_touch(const char *uuid);

nvmlReturn_t state_number(const char *uuid, const char *name, u64 fallback, u64 *value);

/* What the engine holds, and the lowest PID of a process that is the engine (0: none runs, and nothing is held). */
nvmlReturn_t state_engine(const char *uuid, u64 *bytes, unsigned *pid);

/* How many Xids were reported so far. If there are more than `seen`, *xid is the first that is new. */
nvmlReturn_t state_xids(const char *uuid, size_t seen, size_t *reported, u64 *xid);

/* Sleeps for the time after which a blocked call looks at the files again. */
void state_pause(void);
