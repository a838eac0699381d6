/* A management library with one device and an old driver's gaps: no energy counter before Volta would look like this
   with ENERGY_MJ unset; the process list of version 3 is missing altogether. */
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3 };

int nvmlInitWithFlags(unsigned flags) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == NOT_SUPPORTED ? "Not Supported" : "Unknown Error"; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)8; return SUCCESS; }
int nvmlDeviceGetUUID(void *device, char *text, unsigned size) { strncpy(text, "GPU-c0ffee", size); return SUCCESS; }
int nvmlDeviceGetName(void *device, char *text, unsigned size) { strncpy(text, "Imaginary 100", size); return SUCCESS; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "575.1", size); return SUCCESS; }
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) { *milliwatts = 71500; return SUCCESS; }
int nvmlDeviceGetClockInfo(void *device, int kind, unsigned *mhz) { *mhz = kind == 1 ? 1755 : 0; return SUCCESS; }

int nvmlDeviceGetCurrentClocksEventReasons(void *device, unsigned long long *bits) {
    *bits = 0x1 | 0x4; /* idle, and software power cap */
    return SUCCESS;
}

int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
    const char *set = getenv("ENERGY_MJ");
    if (set == NULL) return NOT_SUPPORTED;
    *millijoules = strtoull(set, NULL, 10);
    return SUCCESS;
}
