// Runs what the coalescer chose and answers every item of it. One per executor, on its thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/live_lane.h"
#include "run/answers.h"
#include "run/heartbeat.h"
#include "run/served_model.h"
#include "run/watchdog.h"
#include "run/work_queue.h"

namespace interleave {

class RunExecutor {
 public:
  struct Place {
    Lane lane = Lane::kRealtime;
    bool onGpu = false;
    std::size_t executor = 0;  // its number at the watchdog and its slot of the heartbeat
  };
  // `liveLane` is told what runs cost, unless it is null.
  RunExecutor(Place place, const Answers& answers, Watchdog& watchdog, Heartbeat& heartbeat, LiveLane* liveLane)
      : place_(place), answers_(answers), watchdog_(watchdog), heartbeat_(heartbeat), liveLane_(liveLane) {}

  // Items of one model that is ready; duplicates of an item are answered with it. When a shared run fails or takes too
  // long its items are run one by one, so that only the one at fault fails. Never throws; every item is answered when
  // it returns.
  void Run(std::vector<QueuedItem> items);

  // Runs a probe and answers it. Never throws.
  void Measure(const Probe& probe);

 private:
  struct Failure {
    ItemStatus status = ItemStatus::kFailed;
    std::string message;
    bool mayRunAlone = false;
  };
  using Members = std::span<QueuedItem* const>;

  void RunMembers(ServedModel& model, Members members, Heartbeat::Activity& activity);
  // Runs one item of a shared run that failed, unless its time is over.
  std::optional<Failure> TryAlone(ServedModel& model, QueuedItem* member);
  // Decodes string inputs; items that do not decode are answered. Returns those that are left.
  std::vector<QueuedItem*> DecodeInputs(const Signature& signature, Members members);
  // Runs members together and answers them, or says why not; then none of them is answered.
  std::optional<Failure> TryRun(ServedModel& model, Members members);
  bool IsOutsized(const ServedModel& model) const;
  // Of the model's teams the one whose leader this executor is.
  std::size_t TeamOf(const ServedModel& model) const;
  std::vector<RunOutput> RunSession(ServedModel& model, std::optional<Failure>& failure);
  // CPU time of the thread; on a GPU wall-clock time.
  std::int64_t MeasureNs(const ServedModel& model, const Probe& probe);
  // The length of each row of the run, as cost tables count it.
  std::int64_t RowLength() const { return layout_.lengths[0] + layout_.lengths[1]; }
  // From how much CPU time on the run counts as hung.
  std::int64_t HangNs(const ServedModel& model) const;
  void CountRun(ServedModel& model, std::int64_t startedNs, std::int64_t elapsedNs, std::int64_t cpuNs) const;
  Failure Explain(const Watchdog::Watch& watch, const ServedModel& model, const std::string& message) const;
  void Respond(const Session& session, const std::vector<RunOutput>& outputs, Members members, const ItemTimes& times);
  // Answers one item with what the run computed for its member number `part`.
  void RespondTo(QueuedItem& queued, const Session& session, const std::vector<RunOutput>& outputs, std::size_t part,
                 ItemTimes times);

  const Place place_;
  const Answers& answers_;
  Watchdog& watchdog_;
  Heartbeat& heartbeat_;
  LiveLane* const liveLane_;

  // Buffers of the run under way; kept for their memory.
  Scratch scratch_;
  RunLayout layout_;
  std::vector<ItemShape> shapes_;
  std::vector<Item*> items_;
  std::vector<std::vector<StringElements>> strings_;
};

}  // namespace interleave
