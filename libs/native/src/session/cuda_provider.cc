#include "session/cuda_provider.h"

#include <algorithm>
#include <vector>

namespace interleave {
namespace {

constexpr const char* kProvider = "CUDAExecutionProvider";

void CheckOffered(const ort::OrtLibrary& library) {
  const std::vector<std::string> providers = library.Providers();
  if (std::find(providers.begin(), providers.end(), kProvider) != providers.end()) return;
  std::string names;
  for (const std::string& name : providers) names += (names.empty() ? "" : ", ") + name;
  throw ort::OrtError(
      "it asks for a GPU, but ONNX Runtime " + library.version() + " at " + library.path() + " offers no " + kProvider +
      " (only " + names +
      "); set gpu.ortLibrary of its partition, or ORT_LIBRARY, to the libonnxruntime.so of a GPU build " +
      "with libonnxruntime_providers_cuda.so beside it");
}

}  // namespace

void CudaProvider::AppendTo(ort::SessionOptions* session, const ort::OrtLibrary& library) {
  CheckOffered(library);
  if (priorityStream_ && stream_ == nullptr) {
    stream_ = std::make_unique<CudaStream>();
    options_["user_compute_stream"] = std::to_string(stream_->address());
  }
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const auto& [key, value] : options_) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  const ort::Functions& api = library.api();
  try {
    ort::CudaOptions* raw = nullptr;
    library.Check(api.CreateCUDAProviderOptions(&raw));
    const ort::Owned<ort::CudaOptions> options(raw, api.ReleaseCUDAProviderOptions);
    library.Check(api.UpdateCUDAProviderOptions(raw, keys.data(), values.data(), keys.size()));
    library.Check(api.SessionOptionsAppendExecutionProvider_CUDA_V2(session, raw));
  } catch (const ort::OrtError& error) {
    throw ort::OrtError(std::string("the GPU cannot be used: ") + error.what() +
                        "; are the CUDA and cuDNN libraries that this build wants in LD_LIBRARY_PATH?");
  }
}

}  // namespace interleave
