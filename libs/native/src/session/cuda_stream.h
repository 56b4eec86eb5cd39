// A CUDA stream of high priority, through the driver's own library: nothing of CUDA is needed to build.
#pragma once

#include <cstdint>

namespace interleave {

// On the first visible device, in its primary context, which the CUDA runtime inside ONNX Runtime uses too. Where
// processes share a device under MPS, the hardware prefers its kernels to those of streams without priority (CUDA
// programming guide, stream priorities). Created and destroyed on any thread.
class CudaStream {
 public:
  // Throws ort::OrtError with the driver's reason.
  CudaStream();
  ~CudaStream();
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  // The stream as ONNX Runtime's option `user_compute_stream` wants it.
  std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(stream_); }

 private:
  struct Driver;
  const Driver& driver_;
  int device_ = 0;
  void* stream_ = nullptr;
};

}  // namespace interleave
