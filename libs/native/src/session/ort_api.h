// ONNX Runtime through its C ABI: one exported function and a table of function pointers whose order never changes.
// No file of ONNX Runtime is needed to build; `OrtLibrary::Load` checks at run time that the table is what we think.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "item.h"

namespace interleave::ort {

struct Status;
struct Env;
struct SessionHandle;
struct SessionOptions;
struct RunOptions;
struct MemoryInfo;
struct Allocator;
struct Value;
struct TypeInfo;
struct TensorInfo;
struct CudaOptions;
struct CustomThread;

using ThreadWork = void (*)(void* argument);

// X(slot in the table, result, name, parameters). Functions that return Status* answer nullptr for success.
#define INTERLEAVE_ORT_FUNCTIONS(X)                                                                                    \
  X(1, int, GetErrorCode, (const Status*))                                                                             \
  X(2, const char*, GetErrorMessage, (const Status*))                                                                  \
  X(3, Status*, CreateEnv, (int level, const char* id, Env**))                                                         \
  X(6, Status*, DisableTelemetryEvents, (const Env*))                                                                  \
  X(7, Status*, CreateSession, (const Env*, const char* path, const SessionOptions*, SessionHandle**))                 \
  X(8, Status*, CreateSessionFromArray,                                                                                \
    (const Env*, const void* data, std::size_t bytes, const SessionOptions*, SessionHandle**))                         \
  X(9, Status*, Run,                                                                                                   \
    (SessionHandle*, const RunOptions*, const char* const* input_names, const Value* const* inputs,                    \
     std::size_t inputs_count, const char* const* output_names, std::size_t outputs_count, Value** outputs))           \
  X(10, Status*, CreateSessionOptions, (SessionOptions**))                                                             \
  X(13, Status*, SetSessionExecutionMode, (SessionOptions*, int mode))                                                 \
  X(17, Status*, DisableMemPattern, (SessionOptions*))                                                                 \
  X(18, Status*, EnableCpuMemArena, (SessionOptions*))                                                                 \
  X(22, Status*, SetSessionLogSeverityLevel, (SessionOptions*, int level))                                             \
  X(23, Status*, SetSessionGraphOptimizationLevel, (SessionOptions*, int level))                                       \
  X(24, Status*, SetIntraOpNumThreads, (SessionOptions*, int))                                                         \
  X(25, Status*, SetInterOpNumThreads, (SessionOptions*, int))                                                         \
  X(30, Status*, SessionGetInputCount, (const SessionHandle*, std::size_t*))                                           \
  X(31, Status*, SessionGetOutputCount, (const SessionHandle*, std::size_t*))                                          \
  X(33, Status*, SessionGetInputTypeInfo, (const SessionHandle*, std::size_t, TypeInfo**))                             \
  X(34, Status*, SessionGetOutputTypeInfo, (const SessionHandle*, std::size_t, TypeInfo**))                            \
  X(36, Status*, SessionGetInputName, (const SessionHandle*, std::size_t, Allocator*, char**))                         \
  X(37, Status*, SessionGetOutputName, (const SessionHandle*, std::size_t, Allocator*, char**))                        \
  X(39, Status*, CreateRunOptions, (RunOptions**))                                                                     \
  X(46, Status*, RunOptionsSetTerminate, (RunOptions*))                                                                \
  X(48, Status*, CreateTensorAsOrtValue, (Allocator*, const std::int64_t* dims, std::size_t rank, int type, Value**))  \
  X(49, Status*, CreateTensorWithDataAsOrtValue,                                                                       \
    (const MemoryInfo*, void* data, std::size_t bytes, const std::int64_t* dims, std::size_t rank, int type, Value**)) \
  X(50, Status*, IsTensor, (const Value*, int*))                                                                       \
  X(51, Status*, GetTensorMutableData, (Value*, void**))                                                               \
  X(53, Status*, GetStringTensorDataLength, (const Value*, std::size_t*))                                              \
  X(54, Status*, GetStringTensorContent,                                                                               \
    (const Value*, void* buffer, std::size_t bytes, std::size_t* offsets, std::size_t count))                          \
  X(55, Status*, CastTypeInfoToTensorInfo, (const TypeInfo*, const TensorInfo**))                                      \
  X(56, Status*, GetOnnxTypeFromTypeInfo, (const TypeInfo*, int*))                                                     \
  X(60, Status*, GetTensorElementType, (const TensorInfo*, int*))                                                      \
  X(61, Status*, GetDimensionsCount, (const TensorInfo*, std::size_t*))                                                \
  X(62, Status*, GetDimensions, (const TensorInfo*, std::int64_t*, std::size_t))                                       \
  X(63, Status*, GetSymbolicDimensions, (const TensorInfo*, const char**, std::size_t))                                \
  X(65, Status*, GetTensorTypeAndShape, (const Value*, TensorInfo**))                                                  \
  X(69, Status*, CreateCpuMemoryInfo, (int allocator, int memory_type, MemoryInfo**))                                  \
  X(76, Status*, AllocatorFree, (Allocator*, void*))                                                                   \
  X(78, Status*, GetAllocatorWithDefaultOptions, (Allocator**))                                                        \
  X(92, void, ReleaseEnv, (Env*))                                                                                      \
  X(93, void, ReleaseStatus, (Status*))                                                                                \
  X(94, void, ReleaseMemoryInfo, (MemoryInfo*))                                                                        \
  X(95, void, ReleaseSession, (SessionHandle*))                                                                        \
  X(96, void, ReleaseValue, (Value*))                                                                                  \
  X(97, void, ReleaseRunOptions, (RunOptions*))                                                                        \
  X(98, void, ReleaseTypeInfo, (TypeInfo*))                                                                            \
  X(99, void, ReleaseTensorTypeAndShapeInfo, (TensorInfo*))                                                            \
  X(100, void, ReleaseSessionOptions, (SessionOptions*))                                                               \
  X(125, Status*, GetAvailableProviders, (char***, int*))                                                              \
  X(126, Status*, ReleaseAvailableProviders, (char**, int))                                                            \
  X(130, Status*, AddSessionConfigEntry, (SessionOptions*, const char* key, const char* value))                        \
  X(165, Status*, AddRunConfigEntry, (RunOptions*, const char* key, const char* value))                                \
  X(196, Status*, SessionOptionsSetCustomCreateThreadFn,                                                               \
    (SessionOptions*, const CustomThread* (*create)(void* options, ThreadWork, void* argument)))                       \
  X(197, Status*, SessionOptionsSetCustomThreadCreationOptions, (SessionOptions*, void*))                              \
  X(198, Status*, SessionOptionsSetCustomJoinThreadFn, (SessionOptions*, void (*join)(const CustomThread*)))           \
  X(204, Status*, SessionOptionsAppendExecutionProvider_CUDA_V2, (SessionOptions*, const CudaOptions*))                \
  X(205, Status*, CreateCUDAProviderOptions, (CudaOptions**))                                                          \
  X(206, Status*, UpdateCUDAProviderOptions,                                                                           \
    (CudaOptions*, const char* const* keys, const char* const* values, std::size_t count))                             \
  X(208, void, ReleaseCUDAProviderOptions, (CudaOptions*))                                                             \
  X(252, Status*, GetResizedStringTensorElementBuffer, (Value*, std::size_t index, std::size_t bytes, char**))

// The entries above, copied out of the library's table once at load.
struct Functions {
#define INTERLEAVE_ORT_MEMBER(slot, result, name, parameters) result(*name) parameters = nullptr;
  INTERLEAVE_ORT_FUNCTIONS(INTERLEAVE_ORT_MEMBER)
#undef INTERLEAVE_ORT_MEMBER
};

// The API version asked of the library: every slot above exists since then, and 1.17 is the oldest library accepted.
inline constexpr std::uint32_t kApiVersion = 17;

// A call that ONNX Runtime refused, with its message; also thrown by Load for a library that cannot be used.
class OrtError : public std::runtime_error {
 public:
  explicit OrtError(const std::string& message) : std::runtime_error(message) {}
};

template <class T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

// One loaded library with its environment. Never unloaded (the runtime keeps threads and thread-local state of its
// own). Thread-safe after Load.
class OrtLibrary {
 public:
  // Opens `path`, checks version and table. Throws OrtError naming path and version.
  static std::shared_ptr<const OrtLibrary> Load(const std::string& path);

  ~OrtLibrary();
  OrtLibrary(const OrtLibrary&) = delete;
  OrtLibrary& operator=(const OrtLibrary&) = delete;

  const Functions& api() const { return api_; }
  const std::string& version() const { return version_; }
  const std::string& path() const { return path_; }
  Env* env() const { return env_; }
  // Borrowed; lives as long as the library.
  Allocator* allocator() const { return allocator_; }

  // Throws OrtError with the runtime's message unless `status` is success; releases it.
  void Check(Status* status) const;

  // The execution providers that it offers, by ONNX Runtime's names: those that it was built with, less those whose own
  // library is not beside it. (The library of onnxruntime-node is built with CUDA, but comes alone.)
  std::vector<std::string> Providers() const;

  // A tensor over the caller's memory, which must outlive it.
  Owned<Value> TensorOver(void* data, std::size_t bytes, const Shape& shape, ElementType type) const;
  // A string tensor with empty elements, in the runtime's own memory.
  Owned<Value> StringTensor(const Shape& shape) const;
  Owned<RunOptions> NewRunOptions() const;

  // Type, rank and dimensions of a tensor or of an input's declaration. Rank is not limited to kRankMax here.
  struct TensorType {
    int elementType = 0;
    std::size_t rank = 0;
  };
  TensorType ReadType(const TensorInfo* info) const;
  // Dimensions of a tensor that came out of a run. Throws OrtError past kRankMax.
  Shape ReadShape(const Value* value, ElementType* type) const;

 private:
  explicit OrtLibrary(const std::string& path);
  void CopyTable(const void* const* table);
  void CheckRoundTrip() const;

  std::string path_;
  std::string version_;
  Functions api_;
  Env* env_ = nullptr;
  Allocator* allocator_ = nullptr;
  MemoryInfo* cpuMemory_ = nullptr;
};

}  // namespace interleave::ort
