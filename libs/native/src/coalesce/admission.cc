#include "coalesce/admission.h"

#include <algorithm>
#include <cmath>

#include "coalesce/coalescer.h"

namespace interleave {
namespace {

// Shares of the time that the wait may take.
constexpr double kUseWanted = 0.8;
constexpr double kUseNearlyFull = 0.75;
// Share of the timeout: shorter waits vary by more than by what they are made of.
constexpr double kUseNoticed = 1.0 / 8;
// Share of the way from a higher factor to a lower one, for each request.
constexpr double kDecay = 1.0 / 1024;

double Approach(double lower, double waitFactor) { return waitFactor + std::min(0.0, lower - waitFactor) * kDecay; }

}  // namespace

Admission Admit(const AdmissionRequest& request) {
  if (request.timeoutNs == 0) return {.admitted = true};
  if (request.costHighNs > request.timeoutNs) return {.admitted = false, .retryAfterNs = -1};
  const auto waitNs = static_cast<double>(request.backlogNs / request.executors);
  const double overNs = waitNs * request.waitFactor - static_cast<double>(request.timeoutNs - request.costHighNs);
  if (overNs <= 0) return {.admitted = true};
  // A backlog shrinks by as much as it weighs, and what is kept free along with it.
  return {.admitted = false, .retryAfterNs = static_cast<std::int64_t>(std::ceil(overNs / request.waitFactor))};
}

double WaitFactorAfter(double waitFactor, const WaitSample& sample) {
  const auto waitNs = static_cast<double>(sample.waitNs);
  const bool isEvidence = sample.timeoutNs > 0 && waitNs >= kUseNoticed * static_cast<double>(sample.timeoutNs) &&
                          PriorityLevel(sample.priority) <= PriorityLevel(0);
  if (!isEvidence) return Approach(kWaitFactorStart, waitFactor);
  const auto waitBudgetNs = static_cast<double>(std::max<std::int64_t>(1, sample.timeoutNs - sample.costHighNs));
  const double used = std::min(1.0, static_cast<double>(sample.elapsedNs - sample.costHighNs) / waitBudgetNs);
  const double wanted = std::clamp(sample.waitFactor * used / kUseWanted, kWaitFactorMin, kWaitFactorMax);
  if (wanted >= waitFactor) return wanted;
  const bool wasNearlyFull = waitNs * sample.waitFactor >= kUseNearlyFull * waitBudgetNs;
  return Approach(wasNearlyFull ? wanted : kWaitFactorStart, waitFactor);
}

}  // namespace interleave
