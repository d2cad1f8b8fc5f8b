#define _GNU_SOURCE
#include "state.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char root[PATH_MAX];

static void path_of(char path[PATH_MAX], const char *uuid, const char *name) {
    if (snprintf(path, PATH_MAX, "%s/%s/%s", root, uuid, name) >= PATH_MAX) path[0] = '\0';
}

static bool exists(const char *uuid, const char *name) {
    char path[PATH_MAX];
    path_of(path, uuid, name);
    return access(path, F_OK) == 0;
}

void state_pause(void) { nanosleep(&(struct timespec){.tv_nsec = 20 * 1000 * 1000}, NULL); }

/* The whole of a file as a string that the caller frees; NULL with errno set if it cannot be read. */
static char *slurp(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return NULL;
    size_t used = 0, room = 4096;
    char *text = malloc(room);
    for (ssize_t got = 1; text && got > 0;) {
        if (used + 1 == room) {
            char *more = realloc(text, room *= 2);
            if (!more) free(text);
            text = more;
        }
        if (text && (got = read(fd, text + used, room - used - 1)) > 0) used += (size_t)got;
        if (text && got < 0) {
            free(text);
            text = NULL;
        }
    }
    close(fd);
    if (text) text[used] = '\0';
    return text;
}

static nvmlReturn_t complain(const char *path, const char *text) {
    fprintf(stderr, "fake NVML: %s holds \"%s\": write one non-negative decimal number\n", path, text);
    return UNKNOWN;
}

static bool parse_number(const char *text, size_t length, u64 *value) {
    char digits[24], *end;
    while (length && isspace((unsigned char)text[length - 1])) length--;
    if (length == 0 || length >= sizeof digits || !isdigit((unsigned char)text[0])) return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    errno = 0;
    *value = strtoull(digits, &end, 10);
    return errno == 0 && *end == '\0';
}

nvmlReturn_t state_number(const char *uuid, const char *name, u64 fallback, u64 *value) {
    char path[PATH_MAX];
    path_of(path, uuid, name);
    char *text = slurp(path);
    if (!text) {
        *value = fallback;
        if (errno == ENOENT) return SUCCESS;
        fprintf(stderr, "fake NVML: cannot read %s: %s\n", path, strerror(errno));
        return UNKNOWN;
    }
    nvmlReturn_t answer = parse_number(text, strlen(text), value) ? SUCCESS : complain(path, text);
    free(text);
    return answer;
}

static int by_uuid(const void *a, const void *b) { return strcmp(a, b); }

nvmlReturn_t state_scan(char uuids[][UUID_SIZE], unsigned room, unsigned *count) {
    const char *chosen = getenv("FAKE_NVML_ROOT");
    snprintf(root, sizeof root, "%s", chosen && *chosen ? chosen : "/run/fake-nvml");
    DIR *folder = opendir(root);
    if (!folder) return DRIVER_NOT_LOADED;
    *count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) && *count < room;)
        if (entry->d_name[0] != '.' && strlen(entry->d_name) < UUID_SIZE) strcpy(uuids[(*count)++], entry->d_name);
    closedir(folder);
    qsort(uuids, *count, UUID_SIZE, by_uuid);
    return SUCCESS;
}

nvmlReturn_t state_touch(const char *uuid) {
    u64 code;
    while (exists(uuid, "hang")) state_pause();
    if (!exists(uuid, ".")) return GPU_IS_LOST;
    nvmlReturn_t answer = state_number(uuid, "error", SUCCESS, &code);
    return answer != SUCCESS ? answer : (nvmlReturn_t)code;
}

static bool command_contains(const char *pid, const char *wanted) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    char text[8192];
    ssize_t length = read(fd, text, sizeof text);
    close(fd);
    for (ssize_t i = 0; i < length; i++)
        if (text[i] == '\0') text[i] = ' ';
    return length > 0 && memmem(text, (size_t)length, wanted, strlen(wanted));
}

nvmlReturn_t state_engine(const char *uuid, u64 *bytes, unsigned *pid) {
    char path[PATH_MAX];
    *pid = 0;
    nvmlReturn_t answer = state_number(uuid, "engine_bytes", 0, bytes);
    path_of(path, uuid, "engine_match");
    char *wanted = slurp(path);
    size_t length = wanted ? strlen(wanted) : 0;
    while (length && isspace((unsigned char)wanted[length - 1])) wanted[--length] = '\0';
    DIR *processes = length ? opendir("/proc") : NULL;
    for (struct dirent *entry; processes && (entry = readdir(processes));) {
        long found = strtol(entry->d_name, NULL, 10);
        if (found > 0 && found != getpid() && (!*pid || found < *pid) && command_contains(entry->d_name, wanted)) *pid = (unsigned)found;
    }
    if (processes) closedir(processes);
    free(wanted);
    if (!*pid) *bytes = 0;
    return answer;
}

nvmlReturn_t state_xids(const char *uuid, size_t seen, size_t *reported, u64 *xid) {
    char path[PATH_MAX];
    nvmlReturn_t answer = SUCCESS;
    *reported = 0;
    path_of(path, uuid, "xid");
    char *text = slurp(path), *rest = text;
    for (char *line; rest && (line = strsep(&rest, "\n"));) {
        if (!*line) continue;
        if ((*reported)++ == seen && !parse_number(line, strlen(line), xid)) answer = complain(path, line);
    }
    free(text);
    return answer;
}
