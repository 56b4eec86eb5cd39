// The CUDA execution provider of ONNX Runtime, as one worker's models share it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "session/cuda_stream.h"
#include "session/ort_api.h"

namespace interleave {

// Outlives the sessions that it was appended to. Used by the thread that loads models only, but for TakeTurn.
class CudaProvider {
 public:
  // `options` as ONNX Runtime documents them for CUDA; with `priorityStream` all sessions compute on one stream of high
  // priority, so that their runs must not overlap.
  CudaProvider(std::map<std::string, std::string> options, bool priorityStream)
      : options_(std::move(options)), priorityStream_(priorityStream) {}

  // Has the session run on the first visible GPU. Throws ort::OrtError with the reason and what to do.
  void AppendTo(ort::SessionOptions* session, const ort::OrtLibrary& library);

  // Held for a run where runs must not overlap; empty where they may. Any thread.
  std::unique_lock<std::mutex> TakeTurn() {
    return priorityStream_ ? std::unique_lock(turn_) : std::unique_lock<std::mutex>();
  }

 private:
  std::map<std::string, std::string> options_;
  const bool priorityStream_;
  std::unique_ptr<CudaStream> stream_;
  std::mutex turn_;
};

}  // namespace interleave
