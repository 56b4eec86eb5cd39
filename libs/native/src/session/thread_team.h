// The threads beside the caller's on which runs of one ONNX Runtime session compute, each pinned to a CPU of its own.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <ctime>
#include <functional>
#include <span>
#include <vector>

#include "session/ort_api.h"

namespace interleave {

// What runs of one model compute on beside the caller's thread.
struct HelperPlan {
  // The CPUs of the helpers of each team; at least one team, all with as many helpers. None: runs compute on the
  // caller's thread only.
  std::vector<std::vector<int>> cpus{{}};
  // Called on each new helper of team `team` before it does anything else, with its CPU; throws nothing. Null: helpers
  // run where the kernel puts them.
  std::function<void(std::size_t team, int cpu)> prepare{};
};

// Outlives its session, which starts the threads when it is opened and joins them when it is released.
class ThreadTeam {
 public:
  struct Thread {
    pid_t tid = 0;
    clockid_t cpuClock = 0;
  };

  ThreadTeam(std::vector<int> cpus, std::function<void(int cpu)> prepare);
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  // For one session. Helpers spin between the parallel parts of a run, since their CPUs are lent to it, and sleep
  // between runs. Throws ort::OrtError.
  void AppendTo(ort::SessionOptions* options, const ort::OrtLibrary& library);

  // The session was released, and another is to be opened with the same options.
  void Reset() { threads_.clear(); }

  // All of them once the session is open.
  std::span<const Thread> threads() const { return threads_; }

 private:
  // Callbacks of the runtime, on the thread that opens or releases the session. Null: there can be no thread.
  static const ort::CustomThread* Create(void* team, ort::ThreadWork work, void* argument);
  static void Join(const ort::CustomThread* thread);

  const std::vector<int> cpus_;
  const std::function<void(int cpu)> prepare_;
  std::vector<Thread> threads_;
};

}  // namespace interleave
