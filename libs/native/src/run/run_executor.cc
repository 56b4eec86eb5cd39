#include "run/run_executor.h"

#include <malloc.h>

#include <algorithm>
#include <ctime>
#include <limits>

#include "clock.h"
#include "session/probe_item.h"

namespace interleave {
namespace {

// The runtime's arena keeps the largest that any run needed. With this one it gives back each piece in which nothing is
// used at its end; its own outputs may lie in one.
void ShrinkAfter(const ort::OrtLibrary& library, ort::RunOptions* options) {
  library.Check(library.api().AddRunConfigEntry(options, "memory.enable_memory_arena_shrinkage", "cpu:0"));
}

std::size_t InputBytes(std::span<Item* const> items) {
  std::size_t bytes = 0;
  for (const Item* item : items) {
    for (const TensorView& input : item->inputs) bytes += input.bytes;
  }
  return bytes;
}

bool HasStrings(const Signature& signature) {
  return std::any_of(signature.inputs.begin(), signature.inputs.end(),
                     [](const TensorSpec& spec) { return spec.type == ElementType::kString; });
}

}  // namespace

void RunExecutor::Run(std::vector<QueuedItem> items) {
  ServedModel& model = *items[0].model;
  std::vector<QueuedItem*> members;
  Heartbeat::Activity activity(heartbeat_, place_.executor, model.plan().revision, Phase::kRunning);
  try {
    members.reserve(items.size());
    for (QueuedItem& queued : items) {
      queued.item.responder->MarkRunning();
      members.push_back(&queued);
    }
    RunMembers(model, members, activity);
  } catch (const std::exception& error) {
    for (QueuedItem& queued : items) {
      if (queued.item.responder) answers_.Fail(queued, ItemStatus::kFailed, error.what());
    }
  }
  scratch_.Trim();
}

void RunExecutor::Measure(const Probe& probe) {
  const Heartbeat::Activity activity(heartbeat_, place_.executor, probe.model->plan().revision, Phase::kMeasuring);
  ProbeResult result;
  try {
    result.cpuNs = MeasureNs(*probe.model, probe);
    if (probe.trims) malloc_trim(0);
  } catch (const std::bad_alloc&) {
    result.error = "not enough memory for this run";
  } catch (const std::exception& error) {
    result.error = error.what();
  }
  scratch_.Trim();
  probe.done(result);
}

std::int64_t RunExecutor::MeasureNs(const ServedModel& model, const Probe& probe) {
  Session& session = *model.session();
  ProbeItem made = MakeProbeItem(session.signature(), probe.rows, probe.length);
  LayOut({&made.shape, 1}, layout_);
  const auto options = session.library().NewRunOptions();
  if (probe.trims && !place_.onGpu) ShrinkAfter(session.library(), options.get());
  const Watchdog::Watch watch(watchdog_, place_.executor, session.library(), options.get(), model.label(),
                              {.timeNs = model.plan().runTimeoutNs, .cpuNs = {}}, session.helpers(TeamOf(model)));
  const auto now = place_.onGpu ? MonotonicNowNs : ThreadCpuNs;
  const std::int64_t startedNs = now();
  try {
    session.RunForCost(made.item, layout_, made.strings, scratch_, options.get(), TeamOf(model));
  } catch (const ort::OrtError& error) {
    throw std::runtime_error(Explain(watch, model, error.what()).message);
  }
  return now() - startedNs;
}

void RunExecutor::RunMembers(ServedModel& model, Members members, Heartbeat::Activity& activity) {
  activity.Run(members);
  const std::optional<Failure> failure = TryRun(model, members);
  if (!failure) return;
  const bool runAlone = failure->mayRunAlone && members.size() > 1;
  for (QueuedItem* member : members) {
    if (!member->item.responder) continue;
    if (runAlone) activity.Run({&member, 1});
    const std::optional<Failure> last = runAlone ? TryAlone(model, member) : failure;
    if (last) answers_.Fail(*member, last->status, last->message);
  }
}

std::optional<RunExecutor::Failure> RunExecutor::TryAlone(ServedModel& model, QueuedItem* member) {
  const std::int64_t deadlineNs = member->item.deadlineNs;
  if (deadlineNs != 0 && deadlineNs <= MonotonicNowNs()) {
    answers_.RequeueDuplicates(*member);
    return Failure{ItemStatus::kDeadlineExceeded, "the deadline passed while a run that it shared failed"};
  }
  return TryRun(model, {&member, 1});
}

std::vector<QueuedItem*> RunExecutor::DecodeInputs(const Signature& signature, Members members) {
  std::vector<QueuedItem*> decoded;
  const bool hasStrings = HasStrings(signature);
  strings_.resize(std::max(strings_.size(), hasStrings ? members.size() : 0));
  for (QueuedItem* member : members) {
    std::string wrong;
    for (std::size_t i = 0; hasStrings && i < signature.inputs.size() && wrong.empty(); ++i) {
      const TensorView& view = member->item.inputs[i];
      if (view.type != ElementType::kString) continue;
      std::vector<StringElements>& strings = strings_[decoded.size()];
      strings.resize(signature.inputs.size());
      const auto count = static_cast<std::size_t>(ElementCount(view.shape));
      if (!DecodeStrings(view.data, view.bytes, count, strings[i])) {
        wrong = "input \"" + signature.inputs[i].name + "\": expected " + std::to_string(count) +
                " strings, each a uint32 length and its bytes, but received " + std::to_string(view.bytes) +
                " bytes, which do not split into them";
      }
    }
    if (wrong.empty()) {
      decoded.push_back(member);
    } else {
      answers_.Fail(*member, ItemStatus::kInvalid, wrong);
    }
  }
  return decoded;
}

std::optional<RunExecutor::Failure> RunExecutor::TryRun(ServedModel& model, Members all) {
  const std::vector<QueuedItem*> members = DecodeInputs(model.session()->signature(), all);
  if (members.empty()) return std::nullopt;
  shapes_.clear();
  items_.clear();
  for (QueuedItem* member : members) {
    shapes_.push_back(member->shape);
    items_.push_back(&member->item);
  }
  LayOut(shapes_, layout_);

  const std::int64_t startedNs = MonotonicNowNs();
  const std::int64_t startedCpuNs = ThreadCpuNs();
  std::optional<Failure> failure;
  const std::vector<RunOutput> outputs = RunSession(model, failure);
  if (failure) return failure;
  const std::int64_t endedNs = MonotonicNowNs();
  CountRun(model, startedNs, endedNs - startedNs, ThreadCpuNs() - startedCpuNs);
  Respond(*model.session(), outputs, members,
          {.startedNs = startedNs, .endedNs = endedNs, .runRows = static_cast<std::uint32_t>(layout_.rows)});
  return std::nullopt;
}

// In the batch lane the kernel holds executors back for live traffic: wall-clock time says nothing about the cost.
void RunExecutor::CountRun(ServedModel& model, std::int64_t startedNs, std::int64_t elapsedNs,
                           std::int64_t cpuNs) const {
  const auto width = static_cast<std::int64_t>(model.plan().executorThreads);
  model.stats().CountRun(layout_.rows, layout_.RealTokens(), layout_.PaddedTokens(), elapsedNs * width);
  if (layout_.isOdd) return;  // rows and lengths say little about what it costs
  const auto seen = model.costs().Observe(layout_.rows, RowLength(),
                                          place_.lane == Lane::kBatch && !place_.onGpu ? cpuNs : elapsedNs);
  model.stats().CountCostRatio(seen.ofExpected);
  if (liveLane_ != nullptr && !place_.onGpu) {
    liveLane_->CountRun(model.slot(), startedNs, static_cast<double>(cpuNs) / seen.tableNs, seen.generation);
  }
}

std::int64_t RunExecutor::HangNs(const ServedModel& model) const {
  if (!model.plan().endsByCost || place_.onGpu || layout_.isOdd) return std::numeric_limits<std::int64_t>::max();
  return model.costs().HangNs(layout_.rows, RowLength(), items_.size() > 1);
}

// Past what runs of several items may hold: so seldom, and so long, that memory need not be kept for the next one.
bool RunExecutor::IsOutsized(const ServedModel& model) const {
  const ModelPlan& plan = model.plan();
  return !place_.onGpu && (layout_.rows > plan.runRowsMax || layout_.PaddedTokens() > plan.runTokensMax ||
                           InputBytes(items_) > Scratch::kKeptBytesMax);
}

// The express executor, behind all others, runs models without helpers only, and those have one team.
std::size_t RunExecutor::TeamOf(const ServedModel& model) const {
  return model.plan().executorThreads == 1 ? 0 : place_.executor / model.plan().executorThreads;
}

std::vector<RunOutput> RunExecutor::RunSession(ServedModel& model, std::optional<Failure>& failure) {
  Session& session = *model.session();
  const auto options = session.library().NewRunOptions();
  const bool isOutsized = IsOutsized(model);
  if (model.TakeOwedTrim() || isOutsized) ShrinkAfter(session.library(), options.get());
  if (isOutsized) model.OweTrim();
  const Watchdog::Watch watch(watchdog_, place_.executor, session.library(), options.get(), model.label(),
                              {.timeNs = model.plan().runTimeoutNs, .cpuNs = [this, &model] { return HangNs(model); }},
                              session.helpers(TeamOf(model)));
  try {
    return session.Run(items_, layout_, strings_, scratch_, options.get(), TeamOf(model));
  } catch (const NotTogether& error) {
    failure = {ItemStatus::kFailed, error.what(), true};
  } catch (const ort::OrtError& error) {
    failure = Explain(watch, model, error.what());
    const std::string difference = layout_.isOdd ? Disagreement(session.signature(), *items_[0]) : "";
    if (failure->status == ItemStatus::kFailed && !difference.empty()) {
      failure = {ItemStatus::kInvalid, difference + "; ONNX Runtime: " + error.what(), false};
    }
  } catch (const std::bad_alloc&) {
    failure = {ItemStatus::kFailed, "not enough memory for this run", true};
  }
  return {};
}

RunExecutor::Failure RunExecutor::Explain(const Watchdog::Watch& watch, const ServedModel& model,
                                          const std::string& message) const {
  switch (watch.ended()) {
    case Watchdog::Watch::Ended::kTooLong:
      return {ItemStatus::kRunTimeout,
              "the run took longer than " + std::to_string(model.plan().runTimeoutNs / 1'000'000) + " ms", true};
    case Watchdog::Watch::Ended::kTooCostly:
      return {
          ItemStatus::kRunTimeout,
          "the run took " + std::to_string(HangNs(model) / 1'000'000) +
              " ms of CPU time, far more than such runs cost; where that may be right, set runTimeoutMs in model.yaml",
          true};
    case Watchdog::Watch::Ended::kStopping:
      return {ItemStatus::kUnavailable, "the worker is stopping", false};
    case Watchdog::Watch::Ended::kNo:
      break;
  }
  return {ItemStatus::kFailed, message, true};
}

void RunExecutor::Respond(const Session& session, const std::vector<RunOutput>& outputs, Members members,
                          const ItemTimes& times) {
  for (std::size_t i = 0; i < members.size(); ++i) {
    std::vector<QueuedItem> duplicates = answers_.TakeDuplicates(*members[i]);
    RespondTo(*members[i], session, outputs, i, times);
    for (QueuedItem& duplicate : duplicates) RespondTo(duplicate, session, outputs, i, times);
  }
}

void RunExecutor::RespondTo(QueuedItem& queued, const Session& session, const std::vector<RunOutput>& outputs,
                            std::size_t part, ItemTimes times) {
  times.enqueuedNs = queued.enqueuedNs;
  // It may have joined the run under way: then it did not wait.
  times.startedNs = std::max(times.startedNs, queued.enqueuedNs);
  times.endedNs = std::max(times.endedNs, times.startedNs);
  try {
    const std::size_t needed = session.Respond(outputs, layout_, part, queued.item);
    if (needed == 0) {
      answers_.Finish(queued, times);
    } else {
      answers_.Fail(queued, ItemStatus::kResponseTooLarge, std::to_string(needed));
    }
  } catch (const std::exception& error) {
    if (queued.item.responder) answers_.Fail(queued, ItemStatus::kFailed, error.what());
  }
}

}  // namespace interleave
