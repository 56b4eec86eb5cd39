// Runs made-up items alone and together, as real ones are run, and keeps what they answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "session/answer_diff.h"
#include "session/merge_probe.h"
#include "session/probe_values.h"

namespace interleave {

class ProbeRuns {
 public:
  ProbeRuns(Session& session, const MergeProbeOptions& options) : session_(session), options_(options) {}

  // The answers of one run of these items, in their order. Throws what Session::Run throws, and ProbeEnded.
  std::vector<ProbeAnswer> Run(std::span<ProbeItem* const> items);

  // Gives back the memory that the runs have left in the runtime's arena.
  void ShrinkArena(ProbeItem& item);

  // Time spent since construction, as MergeProbeOptions counts it.
  std::int64_t SpentNs() const;

 private:
  void RunWith(ort::RunOptions* options, std::span<ProbeItem* const> items, std::vector<ProbeAnswer>& answers);
  std::int64_t NowNs() const;

  Session& session_;
  const MergeProbeOptions& options_;
  Scratch scratch_;
  const std::int64_t startedNs_ = NowNs();
};

}  // namespace interleave
