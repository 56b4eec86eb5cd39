// A live worker's side of the control pages: who is beside its runs, how long its items take, and the bandwidth guard.
#pragma once

#include <cstdint>

#include "control/bandwidth_guard.h"
#include "control/control_page.h"
#include "control/neighbours.h"
#include "control/run_samples.h"

namespace interleave {

class LiveLane {
 public:
  LiveLane(MappedControlPage own, std::vector<MappedControlPage> batchPages, std::size_t slotsCount);

  // Any thread, without a lock.
  const Neighbours& neighbours() const { return neighbours_; }
  // A run from `startedNs` until now took `ofTable` times the CPU time that table number `table` of the model in `slot`
  // says.
  void CountRun(std::size_t slot, std::int64_t startedNs, double ofTable, std::uint8_t table);

  // Every 20 ms, or 100 ms while nothing runs, on one thread.
  void OnTick(std::int64_t nowNs);

 private:
  const MappedControlPage own_;
  const Neighbours neighbours_;
  RunSamples samples_;
  BandwidthGuard guard_;
};

}  // namespace interleave
