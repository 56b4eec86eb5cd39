#include "session/cuda_stream.h"

#include <dlfcn.h>

#include <string>

#include "session/ort_api.h"

namespace interleave {
namespace {

constexpr const char* kLibrary = "libcuda.so.1";
constexpr unsigned kNonBlocking = 1;  // CU_STREAM_NON_BLOCKING
constexpr int kFirstDevice = 0;

}  // namespace

// The entries of the driver API that are called; names and parameters as in the CUDA driver API reference.
struct CudaStream::Driver {
  int (*Init)(unsigned flags);
  int (*DeviceGet)(int* device, int ordinal);
  int (*PrimaryCtxRetain)(void** context, int device);
  int (*PrimaryCtxRelease)(int device);
  int (*CtxPushCurrent)(void* context);
  int (*CtxPopCurrent)(void** context);
  int (*CtxGetStreamPriorityRange)(int* least, int* greatest);
  int (*StreamCreateWithPriority)(void** stream, unsigned flags, int priority);
  int (*StreamDestroy)(void* stream);
  int (*GetErrorString)(int result, const char** text);

  // Loaded once and never unloaded: the runtime has it loaded as well.
  static const Driver& Load() {
    static const Driver driver = Open();
    return driver;
  }

  void Check(int result, const char* what) const {
    if (result == 0) return;
    const char* text = nullptr;
    if (GetErrorString(result, &text) != 0 || text == nullptr) text = "unknown error";
    throw ort::OrtError(std::string("CUDA driver: ") + what + ": " + text + " (" + std::to_string(result) + ")");
  }

 private:
  static Driver Open() {
    void* handle = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr) throw ort::OrtError(std::string("cannot load the CUDA driver: ") + dlerror());
    Driver driver{};
    Find(handle, "cuInit", driver.Init);
    Find(handle, "cuDeviceGet", driver.DeviceGet);
    Find(handle, "cuDevicePrimaryCtxRetain", driver.PrimaryCtxRetain);
    Find(handle, "cuDevicePrimaryCtxRelease_v2", driver.PrimaryCtxRelease);
    Find(handle, "cuCtxPushCurrent_v2", driver.CtxPushCurrent);
    Find(handle, "cuCtxPopCurrent_v2", driver.CtxPopCurrent);
    Find(handle, "cuCtxGetStreamPriorityRange", driver.CtxGetStreamPriorityRange);
    Find(handle, "cuStreamCreateWithPriority", driver.StreamCreateWithPriority);
    Find(handle, "cuStreamDestroy_v2", driver.StreamDestroy);
    Find(handle, "cuGetErrorString", driver.GetErrorString);
    return driver;
  }

  template <class Function>
  static void Find(void* handle, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(handle, name));
    if (function != nullptr) return;
    throw ort::OrtError(std::string("the CUDA driver has no ") + name + "; install 450 or newer");
  }
};

CudaStream::CudaStream() : driver_(Driver::Load()) {
  void* context = nullptr;
  driver_.Check(driver_.Init(0), "cuInit");
  driver_.Check(driver_.DeviceGet(&device_, kFirstDevice), "cuDeviceGet");
  driver_.Check(driver_.PrimaryCtxRetain(&context, device_), "cuDevicePrimaryCtxRetain");
  try {
    driver_.Check(driver_.CtxPushCurrent(context), "cuCtxPushCurrent");
    int least = 0;
    int greatest = 0;
    driver_.CtxGetStreamPriorityRange(&least, &greatest);
    const int result = driver_.StreamCreateWithPriority(&stream_, kNonBlocking, greatest);
    driver_.CtxPopCurrent(&context);
    driver_.Check(result, "cuStreamCreateWithPriority");
  } catch (...) {
    driver_.PrimaryCtxRelease(device_);
    throw;
  }
}

CudaStream::~CudaStream() {
  driver_.StreamDestroy(stream_);
  driver_.PrimaryCtxRelease(device_);
}

}  // namespace interleave
