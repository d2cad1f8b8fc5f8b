/* A libnvidia-ml.so.1 for machines without a GPU: the functions of NVML that Fairlead calls, answered from files (see state.h).
 *
 * Calls that concern the whole driver (init, count, event sets) touch every device. Names, types and numbers are those of NVML's
 * public interface, as nvidia-ml-py declares them.
 */
#include "state.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define API __attribute__((visibility("default")))

typedef struct { u64 total, free, used; } nvmlMemory_t;
typedef struct { unsigned version; u64 total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { unsigned gpu, memory; } nvmlUtilization_t;
typedef struct { unsigned pid; u64 usedGpuMemory; unsigned gpuInstanceId, computeInstanceId; } nvmlProcessInfo_t;

enum { MAX_DEVICES = 16, MEMORY_VERSION_2 = 0x02000028, ECC_UNCORRECTED = 1, LOCATION_DRAM = 2, LOCATION_COUNT = 8, EVENT_XID = 8 };
static const u64 DEFAULT_TOTAL = 24ULL << 30;
static const unsigned NO_INSTANCE = 0xFFFFFFFF; /* not a MIG instance */

typedef char (*nvmlDevice_t)[UUID_SIZE]; /* one of `devices` */
typedef struct { nvmlDevice_t device; u64 eventType, eventData; unsigned gpuInstanceId, computeInstanceId; } nvmlEventData_t;
typedef struct { bool watched[MAX_DEVICES]; size_t seen[MAX_DEVICES]; } *nvmlEventSet_t;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned initialised; /* calls of nvmlInit not yet shut down, under lock */
static unsigned count;       /* devices found by the first of them */
static char devices[MAX_DEVICES][UUID_SIZE];

/* ---- what every call does first ---- */

static nvmlReturn_t touch_all(void) {
    for (unsigned i = 0; i < count; i++) {
        nvmlReturn_t answer = state_touch(devices[i]);
        if (answer != SUCCESS) return answer;
    }
    return SUCCESS;
}

static bool is_initialised(void) {
    pthread_mutex_lock(&lock);
    bool answer = initialised > 0;
    pthread_mutex_unlock(&lock);
    return answer;
}

static nvmlReturn_t enter(void) { return is_initialised() ? touch_all() : UNINITIALIZED; }

static nvmlReturn_t enter_device(nvmlDevice_t device, const void *result) {
    if (!is_initialised()) return UNINITIALIZED;
    if (!result || device < devices || device >= devices + count) return INVALID_ARGUMENT;
    return state_touch(*device);
}

static nvmlReturn_t put_string(char *buffer, unsigned size, const char *text) {
    if (strlen(text) >= size) return INSUFFICIENT_SIZE;
    strcpy(buffer, text);
    return SUCCESS;
}

/* ---- library and devices ---- */

API nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    pthread_mutex_lock(&lock);
    nvmlReturn_t answer = initialised ? SUCCESS : state_scan(devices, MAX_DEVICES, &count);
    pthread_mutex_unlock(&lock);
    if (answer == SUCCESS) answer = touch_all();
    if (answer != SUCCESS) return answer;
    pthread_mutex_lock(&lock);
    initialised++;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

API nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

API nvmlReturn_t nvmlShutdown(void) {
    if (!is_initialised()) return UNINITIALIZED;
    pthread_mutex_lock(&lock);
    initialised--;
    pthread_mutex_unlock(&lock);
    return SUCCESS;
}

API const char *nvmlErrorString(nvmlReturn_t code) {
    switch (code) {
    case SUCCESS: return "The operation was successful";
    case UNINITIALIZED: return "Uninitialized";
    case INVALID_ARGUMENT: return "Invalid Argument";
    case NOT_SUPPORTED: return "Not Supported";
    case NOT_FOUND: return "Not Found";
    case INSUFFICIENT_SIZE: return "Insufficient Size";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case TIMEOUT: return "Timeout";
    case GPU_IS_LOST: return "GPU is lost";
    case NO_MEMORY: return "Insufficient Memory";
    case ARGUMENT_VERSION_MISMATCH: return "Argument version mismatch";
    default: return "Unknown Error";
    }
}

API nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length) {
    nvmlReturn_t answer = version ? enter() : INVALID_ARGUMENT;
    return answer != SUCCESS ? answer : put_string(version, length, "0.0-fake");
}

API nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *result) {
    nvmlReturn_t answer = result ? enter() : INVALID_ARGUMENT;
    if (answer == SUCCESS) *result = count;
    return answer;
}

API nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device) {
    if (!is_initialised()) return UNINITIALIZED;
    if (!device || index >= count) return INVALID_ARGUMENT;
    nvmlReturn_t answer = state_touch(devices[index]);
    if (answer == SUCCESS) *device = &devices[index];
    return answer;
}

API nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device) {
    if (!is_initialised()) return UNINITIALIZED;
    if (!uuid || !device) return INVALID_ARGUMENT;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(devices[i], uuid) == 0) return nvmlDeviceGetHandleByIndex_v2(i, device);
    return NOT_FOUND;
}

API nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length) {
    nvmlReturn_t answer = enter_device(device, uuid);
    return answer != SUCCESS ? answer : put_string(uuid, length, *device);
}

API nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length) {
    nvmlReturn_t answer = enter_device(device, name);
    return answer != SUCCESS ? answer : put_string(name, length, "Fake GPU");
}

API nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index) {
    nvmlReturn_t answer = enter_device(device, index);
    if (answer == SUCCESS) *index = (unsigned)(device - devices);
    return answer;
}

API nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending) {
    nvmlReturn_t answer = pending ? enter_device(device, current) : INVALID_ARGUMENT;
    if (answer == SUCCESS) *current = *pending = 0;
    return answer;
}

/* ---- memory, processes, duty cycle ---- */

API nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
    u64 others = 0, held = 0;
    unsigned pid;
    nvmlReturn_t answer = enter_device(device, memory);
    if (answer == SUCCESS) answer = state_number(*device, "memory_total_bytes", DEFAULT_TOTAL, &memory->total);
    if (answer == SUCCESS) answer = state_number(*device, "memory_used_bytes", 0, &others);
    if (answer == SUCCESS) answer = state_engine(*device, &held, &pid);
    if (answer != SUCCESS) return answer;
    memory->used = others > memory->total || held > memory->total - others ? memory->total : others + held;
    memory->free = memory->total - memory->used;
    return SUCCESS;
}

API nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
    nvmlMemory_t plain;
    if (!memory) return INVALID_ARGUMENT;
    if (memory->version != MEMORY_VERSION_2) return ARGUMENT_VERSION_MISMATCH;
    nvmlReturn_t answer = nvmlDeviceGetMemoryInfo(device, &plain);
    if (answer == SUCCESS) *memory = (nvmlMemory_v2_t){MEMORY_VERSION_2, plain.total, 0, plain.free, plain.used};
    return answer;
}

API nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *length, nvmlProcessInfo_t *processes) {
    u64 held;
    unsigned pid, room = length ? *length : 0;
    nvmlReturn_t answer = enter_device(device, length);
    if (answer == SUCCESS) answer = state_engine(*device, &held, &pid);
    if (answer != SUCCESS) return answer;
    *length = pid ? 1 : 0;
    if (!pid) return SUCCESS;
    if (room < 1 || !processes) return INSUFFICIENT_SIZE;
    processes[0] = (nvmlProcessInfo_t){pid, held, NO_INSTANCE, NO_INSTANCE};
    return SUCCESS;
}

API nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization) {
    u64 percent;
    nvmlReturn_t answer = enter_device(device, utilization);
    if (answer == SUCCESS) answer = state_number(*device, "utilization_gpu", 0, &percent);
    if (answer == SUCCESS) *utilization = (nvmlUtilization_t){(unsigned)percent, 0};
    return answer;
}

/* ---- ECC ---- */

static nvmlReturn_t ecc_counter(nvmlDevice_t device, int type, u64 *errors) {
    u64 enabled;
    nvmlReturn_t answer = enter_device(device, errors);
    if (answer == SUCCESS) answer = state_number(*device, "ecc_enabled", 1, &enabled);
    if (answer == SUCCESS && !enabled) answer = NOT_SUPPORTED;
    if (answer == SUCCESS) answer = state_number(*device, "ecc_uncorrected", 0, errors);
    if (answer == SUCCESS && type != ECC_UNCORRECTED) *errors = 0;
    return answer;
}

API nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, int type, int counter, u64 *errors) {
    return type < 0 || type > 1 || counter < 0 || counter > 1 ? INVALID_ARGUMENT : ecc_counter(device, type, errors);
}

API nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t device, int type, int counter, int location, u64 *errors) {
    if (location < 0 || location >= LOCATION_COUNT) return INVALID_ARGUMENT;
    nvmlReturn_t answer = nvmlDeviceGetTotalEccErrors(device, type, counter, errors);
    if (answer == SUCCESS && location != LOCATION_DRAM) *errors = 0;
    return answer;
}

API nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, int *current, int *pending) {
    u64 enabled;
    nvmlReturn_t answer = pending ? enter_device(device, current) : INVALID_ARGUMENT;
    if (answer == SUCCESS) answer = state_number(*device, "ecc_enabled", 1, &enabled);
    if (answer == SUCCESS) *current = *pending = enabled != 0;
    return answer;
}

/* ---- Xid events ---- */

API nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) {
    nvmlReturn_t answer = set ? enter() : INVALID_ARGUMENT;
    if (answer == SUCCESS && !(*set = calloc(1, sizeof **set))) answer = NO_MEMORY;
    return answer;
}

API nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
    if (!set) return INVALID_ARGUMENT;
    free(set);
    return SUCCESS;
}

API nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, u64 *types) {
    nvmlReturn_t answer = enter_device(device, types);
    if (answer == SUCCESS) *types = EVENT_XID;
    return answer;
}

API nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, u64 types, nvmlEventSet_t set) {
    u64 xid;
    nvmlReturn_t answer = enter_device(device, set);
    if (answer != SUCCESS) return answer;
    if (types & ~(u64)EVENT_XID) return NOT_SUPPORTED;
    set->watched[device - devices] = types != 0;
    return state_xids(*device, SIZE_MAX, &set->seen[device - devices], &xid);
}

/* One event that nobody has been told of yet; TIMEOUT if there is none. */
static nvmlReturn_t next_event(nvmlEventSet_t set, nvmlEventData_t *event) {
    for (unsigned i = 0; i < count; i++) {
        size_t reported;
        if (!set->watched[i]) continue;
        *event = (nvmlEventData_t){&devices[i], EVENT_XID, 0, NO_INSTANCE, NO_INSTANCE};
        nvmlReturn_t answer = state_xids(devices[i], set->seen[i], &reported, &event->eventData);
        if (reported > set->seen[i]) {
            set->seen[i]++;
            return answer;
        }
        set->seen[i] = reported; /* fewer than before: the file was cleared, and what follows is new */
    }
    return TIMEOUT;
}

API nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *event, unsigned timeout_ms) {
    struct timespec start, now;
    if (!set || !event) return INVALID_ARGUMENT;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        nvmlReturn_t answer = enter();
        if (answer == SUCCESS) answer = next_event(set, event);
        if (answer != TIMEOUT) return answer;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 >= timeout_ms) return TIMEOUT;
        state_pause();
    }
}
