#include "session/ort_api.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <utility>

namespace interleave::ort {
namespace {

struct ApiBase {
  const void* const* (*GetApi)(std::uint32_t version);
  const char* (*GetVersionString)();
};

// Providers in libraries of their own, which the runtime looks for in its own folder.
constexpr std::array<std::pair<std::string_view, std::string_view>, 2> kApart{{
    {"CUDAExecutionProvider", "libonnxruntime_providers_cuda.so"},
    {"TensorrtExecutionProvider", "libonnxruntime_providers_tensorrt.so"},
}};
constexpr int kVersionMajor = 1;
constexpr int kVersionMinorMin = 17;
constexpr int kLogFatal = 4;
constexpr int kDeviceAllocator = 0;
constexpr int kDefaultMemory = 0;

bool IsVersionSupported(std::string_view version) {
  int major = 0;
  int minor = 0;
  const char* end = version.data() + version.size();
  const auto afterMajor = std::from_chars(version.data(), end, major);
  if (afterMajor.ec != std::errc{} || afterMajor.ptr == end || *afterMajor.ptr != '.') return false;
  if (std::from_chars(afterMajor.ptr + 1, end, minor).ec != std::errc{}) return false;
  return major > kVersionMajor || (major == kVersionMajor && minor >= kVersionMinorMin);
}

}  // namespace

std::shared_ptr<const OrtLibrary> OrtLibrary::Load(const std::string& path) {
  return std::shared_ptr<const OrtLibrary>(new OrtLibrary(path));
}

OrtLibrary::OrtLibrary(const std::string& path) : path_(path) {
  // Telemetry must be off before the environment exists: creating it starts an uploader with a database in ~/.cache and
  // a log in TMPDIR (builds for Linux since 1.30), which DisableTelemetryEvents comes too late for.
  setenv("ORT_DISABLE_TELEMETRY", "1", /*overwrite=*/1);
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    throw OrtError("cannot load ONNX Runtime from " + path + ": " + (reason ? reason : "unknown reason"));
  }
  const auto getBase = reinterpret_cast<const ApiBase* (*)()>(dlsym(handle, "OrtGetApiBase"));
  if (getBase == nullptr) throw OrtError(path + " is not ONNX Runtime: it exports no OrtGetApiBase");
  const ApiBase* base = getBase();
  version_ = base->GetVersionString();
  if (!IsVersionSupported(version_)) {
    throw OrtError("ONNX Runtime " + version_ + " at " + path + " is too old; 1.17 or newer is needed");
  }
  const void* const* table = base->GetApi(kApiVersion);
  if (table == nullptr) {
    throw OrtError("ONNX Runtime " + version_ + " at " + path + " does not offer API version " +
                   std::to_string(kApiVersion));
  }
  CopyTable(table);
  try {
    Check(api_.CreateEnv(kLogFatal, "interleave", &env_));
    Check(api_.DisableTelemetryEvents(env_));
    Check(api_.GetAllocatorWithDefaultOptions(&allocator_));
    Check(api_.CreateCpuMemoryInfo(kDeviceAllocator, kDefaultMemory, &cpuMemory_));
    CheckRoundTrip();
  } catch (const OrtError& error) {
    throw OrtError("ONNX Runtime " + version_ + " at " + path + " does not behave as expected: " + error.what());
  }
}

OrtLibrary::~OrtLibrary() {
  if (cpuMemory_ != nullptr) api_.ReleaseMemoryInfo(cpuMemory_);
  if (env_ != nullptr) api_.ReleaseEnv(env_);
}

void OrtLibrary::CopyTable(const void* const* table) {
#define INTERLEAVE_ORT_COPY(slot, result, name, parameters) \
  api_.name = reinterpret_cast<result(*) parameters>(const_cast<void*>(table[slot]));
  INTERLEAVE_ORT_FUNCTIONS(INTERLEAVE_ORT_COPY)
#undef INTERLEAVE_ORT_COPY
}

void OrtLibrary::CheckRoundTrip() const {
  std::array<float, 6> data{1, 2, 3, 4, 5, 6};
  const Shape shape{.rank = 2, .dims = {2, 3}};
  const auto tensor = TensorOver(data.data(), sizeof(data), shape, ElementType::kFloat32);
  ElementType type{};
  const Shape read = ReadShape(tensor.get(), &type);
  void* memory = nullptr;
  Check(api_.GetTensorMutableData(tensor.get(), &memory));
  if (type != ElementType::kFloat32 || read.rank != 2 || read.dims != shape.dims || memory != data.data()) {
    throw OrtError("a tensor over our own buffer came back with another type, shape or address");
  }
}

void OrtLibrary::Check(Status* status) const {
  if (status == nullptr) return;
  std::string message = api_.GetErrorMessage(status);
  api_.ReleaseStatus(status);
  throw OrtError(message);
}

std::vector<std::string> OrtLibrary::Providers() const {
  char** names = nullptr;
  int count = 0;
  Check(api_.GetAvailableProviders(&names, &count));
  std::vector<std::string> providers(names, names + count);
  Check(api_.ReleaseAvailableProviders(names, count));
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  std::erase_if(providers, [&folder](const std::string& name) {
    const auto isOwn = [&name](const auto& entry) { return entry.first == name; };
    const auto apart = std::find_if(kApart.begin(), kApart.end(), isOwn);
    return apart != kApart.end() && !std::filesystem::exists(folder / apart->second);
  });
  return providers;
}

Owned<Value> OrtLibrary::TensorOver(void* data, std::size_t bytes, const Shape& shape, ElementType type) const {
  Value* value = nullptr;
  Check(api_.CreateTensorWithDataAsOrtValue(cpuMemory_, data, bytes, shape.dims.data(), shape.rank,
                                            static_cast<int>(type), &value));
  return {value, api_.ReleaseValue};
}

Owned<Value> OrtLibrary::StringTensor(const Shape& shape) const {
  Value* value = nullptr;
  Check(api_.CreateTensorAsOrtValue(allocator_, shape.dims.data(), shape.rank, static_cast<int>(ElementType::kString),
                                    &value));
  return {value, api_.ReleaseValue};
}

Owned<RunOptions> OrtLibrary::NewRunOptions() const {
  RunOptions* options = nullptr;
  Check(api_.CreateRunOptions(&options));
  return {options, api_.ReleaseRunOptions};
}

OrtLibrary::TensorType OrtLibrary::ReadType(const TensorInfo* info) const {
  TensorType type;
  Check(api_.GetTensorElementType(info, &type.elementType));
  Check(api_.GetDimensionsCount(info, &type.rank));
  return type;
}

Shape OrtLibrary::ReadShape(const Value* value, ElementType* type) const {
  TensorInfo* raw = nullptr;
  Check(api_.GetTensorTypeAndShape(value, &raw));
  const Owned<TensorInfo> info(raw, api_.ReleaseTensorTypeAndShapeInfo);
  const TensorType read = ReadType(info.get());
  if (read.rank > kRankMax) {
    throw OrtError("a tensor of rank " + std::to_string(read.rank) + "; at most " + std::to_string(kRankMax));
  }
  *type = static_cast<ElementType>(read.elementType);
  Shape shape{.rank = static_cast<std::uint8_t>(read.rank), .dims = {}};
  Check(api_.GetDimensions(info.get(), shape.dims.data(), read.rank));
  return shape;
}

}  // namespace interleave::ort
