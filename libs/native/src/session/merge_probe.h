// Shows, before a model answers anybody, whether rows that share a run leave each other's answers alone: made-up items
// are run alone, then together in several company and order, and the answers compared.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "session/session.h"

namespace interleave {

// A probe run was ended, because it took too long or because the worker stops.
class ProbeEnded : public std::runtime_error {
 public:
  explicit ProbeEnded(const std::string& message) : std::runtime_error(message) {}
};

struct MergeProbeOptions {
  // Does a run with these options under whatever ends runs that take too long; throws ProbeEnded for one that was
  // ended.
  std::function<void(ort::RunOptions* options, const std::function<void()>& run)> watched;
  // A shared run of the model has at most as many rows.
  std::int64_t rowsMax = 1;
  // What is not needed for a verdict is left out after this, and without a verdict after kProbeNsMax rows stay alone;
  // in CPU time of the thread, on a GPU in wall-clock time.
  std::int64_t thoroughNs = 0;
};

inline constexpr std::int64_t kProbeNsMax = 20'000'000'000;

// Has rows share the session's runs less than its signature says, when the probes show that it must be so: without
// padding, or not at all. Nothing to do for a model that runs everything alone. Before other threads know the session;
// leaves no memory of its runs in the runtime's arena. Throws std::bad_alloc.
void ProbeMerging(Session& session, const MergeProbeOptions& options);

}  // namespace interleave
