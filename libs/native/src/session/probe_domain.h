// Finds made-up inputs that a graph accepts: sizes and values that its declaration leaves open.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "session/probe_values.h"

namespace interleave {

struct AcceptedDomain {
  ProbeDomain domain;
  std::array<std::int64_t, 2> lengths{};  // 0 where the model has no such axis
};

// Runs one item alone; returns the runtime's message, empty when it was accepted.
using TryProbe = std::function<std::string(const ProbeDomain& domain, const ProbeRecipe& recipe)>;

// Tries sizes and values in turn, kProbeTriesMax at most and for about kSearchNsMax, then widens the integers as far as
// the graph accepts, so that rows differ. Nothing when none was accepted; `refusal` is then the first message.
std::optional<AcceptedDomain> FindProbeDomain(const Signature& signature, const TryProbe& tryProbe,
                                              std::string& refusal);

inline constexpr int kProbeTriesMax = 400;
inline constexpr std::int64_t kSearchNsMax = 1'000'000'000;

}  // namespace interleave
