// Keeps idle CPUs from sleeping while live requests follow each other. To wake a sleeping CPU took 43 us here, four
// times on the way of a request; a CPU that polls takes a few.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "channel/fd.h"
#include "isolation/awake_loops.h"
#include "isolation/tool.h"
#include "lane.h"

namespace interleave {

struct AwakeOptions {
  Lane lane = Lane::kRealtime;
  // False: switched off by the operator, or the batch lane.
  bool isWanted = false;
  // For loops; those of the worker's executors.
  std::vector<AwakeCpu> cpus{};
  // Why there may be no loops; empty: there may.
  std::string loopRefusal{};
};

// A request to the kernel's power management (PM QoS) for the whole machine, while it is held; the kernel drops it when
// the process ends. Nothing is asked of CPUs that have work, of either lane. Where there is no such request, loops of
// the worker's own. One thread after construction.
class AwakeCpus {
 public:
  explicit AwakeCpus(AwakeOptions options);

  // What it can do, constant from construction on. Any thread.
  const IsolationTool& tool() const { return tool_; }
  // CPU time of its loops. Any thread.
  std::uint64_t loopNs() const { return loops_ == nullptr ? 0 : loops_->CpuNs(); }

  // CPUs stay awake from now on, or may sleep again. Nothing where the tool is not active.
  void Hold();
  void Release();

 private:
  void Ask(std::int32_t latencyUs);
  void Loop(AwakeOptions options, const std::string& why);

  Fd device_;
  std::int32_t heldLatencyUs_ = 0;
  std::unique_ptr<AwakeLoops> loops_;
  IsolationTool tool_;
};

}  // namespace interleave
