#include "simulate/simulator.h"

#include <algorithm>
#include <functional>
#include <random>
#include <stdexcept>
#include <string>

#include "coalesce/admission.h"
#include "coalesce/run_shape.h"

namespace interleave {
namespace {

constexpr std::int64_t kNever = INT64_MAX;

void Check(std::span<const TraceItem> trace, const SimulationPlan& plan) {
  const auto fail = [](std::size_t i, const std::string& what) {
    throw std::invalid_argument("trace item " + std::to_string(i) + ": " + what);
  };
  if (plan.executors == 0) throw std::invalid_argument("executors: expected at least 1 but received 0");
  for (std::size_t i = 0; i < trace.size(); ++i) {
    const TraceItem& item = trace[i];
    if (i > 0 && item.arrivalNs < trace[i - 1].arrivalNs) fail(i, "expected arrivals in ascending order");
    if (item.model >= plan.models.size()) fail(i, "unknown model number " + std::to_string(item.model));
    if (item.rows < 1) fail(i, "expected at least 1 row but received " + std::to_string(item.rows));
    if (item.lengths[0] < 0 || item.lengths[1] < 0) fail(i, "expected lengths of 0 or more");
    if (item.timeoutNs < 0) fail(i, "expected a timeout of 0 or more");
  }
}

Percentiles PercentilesOf(std::vector<std::int64_t> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const auto at = [&values](std::size_t percent) { return values[(values.size() - 1) * percent / 100]; };
  return {at(50), at(90), at(99), values.back()};
}

class Simulation {
 public:
  Simulation(std::span<const TraceItem> trace, const SimulationPlan& plan)
      : trace_(trace),
        plan_(plan),
        models_(plan.models),
        ratios_(plan.models.size()),
        executors_(plan.executors),
        random_(plan.seed) {}

  SimulationReport Run() {
    if (trace_.empty()) return {};
    nowNs_ = trace_.front().arrivalNs;
    while (true) {
      EndRuns();
      TakeArrivals();
      StartRuns();
      const std::int64_t nextNs = NextEventNs();
      if (nextNs == kNever) break;
      nowNs_ = nextNs;
    }
    return Summarize();
  }

 private:
  struct Member {
    QueueEntry entry;
    WaitSample sample;
  };

  struct Executor {
    bool isRunning = false;
    std::int64_t endNs = 0;
    std::int64_t predictedEndNs = 0;
    std::uint32_t model = 0;
    double tableNs = 0;
    double measuredNs = 0;
    std::vector<Member> members;
  };

  bool IsRealtime() const { return plan_.lane == Lane::kRealtime; }

  std::int64_t NextEventNs() const {
    std::int64_t nextNs = kNever;
    for (const Executor& executor : executors_) {
      if (executor.isRunning) nextNs = std::min(nextNs, executor.endNs);
    }
    const bool mayArrive = arrived_ < trace_.size() && (IsRealtime() || queue_.size() < plan_.queueItemsMax);
    return mayArrive ? std::min(nextNs, std::max(nowNs_, trace_[arrived_].arrivalNs)) : nextNs;
  }

  void EndRuns() {
    for (Executor& executor : executors_) {
      if (!executor.isRunning || executor.endNs > nowNs_) continue;
      executor.isRunning = false;
      ratios_[executor.model].Observe(executor.tableNs, executor.measuredNs);
      models_[executor.model].ratio = ratios_[executor.model].ratio();
      for (const auto& [entry, sample] : executor.members) {
        latenciesNs_.push_back(nowNs_ - entry.enqueuedNs);
        if (entry.deadlineNs != 0 && nowNs_ > entry.deadlineNs) ++report_.late;
        Learn(entry, sample);
      }
      lastAnswerNs_ = nowNs_;
    }
  }

  void Learn(const QueueEntry& entry, WaitSample sample) {
    sample.elapsedNs = nowNs_ - entry.enqueuedNs;
    waitFactor_ = WaitFactorAfter(waitFactor_, sample);
  }

  void TakeArrivals() {
    for (; arrived_ < trace_.size() && trace_[arrived_].arrivalNs <= nowNs_; ++arrived_) {
      const TraceItem& item = trace_[arrived_];
      const bool isFull = queue_.size() >= plan_.queueItemsMax;
      if (isFull && !IsRealtime()) return;
      const WaitSample sample = isFull ? WaitSample{} : SampleOf(item);
      if (isFull || !IsAdmitted(sample)) {
        ++report_.refused;
        continue;
      }
      samples_.push_back(sample);
      queue_.push_back({.model = item.model,
                        .priority = item.priority,
                        .rows = item.rows,
                        .lengths = item.lengths,
                        .deadlineNs = item.timeoutNs == 0 ? 0 : item.arrivalNs + item.timeoutNs,
                        .enqueuedNs = nowNs_});
    }
  }

  WaitSample SampleOf(const TraceItem& item) const {
    if (!IsRealtime() || !plan_.admits) return {};
    const double aloneNs = models_[item.model].cost->RunNs(item.rows, TokensOfRow(item.lengths));
    return {.waitNs = BacklogNs() / static_cast<std::int64_t>(plan_.executors),
            .costHighNs = static_cast<std::int64_t>(aloneNs * models_[item.model].ratio.high),
            .timeoutNs = item.timeoutNs,
            .priority = item.priority,
            .waitFactor = waitFactor_};
  }

  bool IsAdmitted(const WaitSample& sample) const {
    return Admit({.backlogNs = sample.waitNs,
                  .costHighNs = sample.costHighNs,
                  .timeoutNs = sample.timeoutNs,
                  .waitFactor = sample.waitFactor})
        .admitted;
  }

  std::int64_t BacklogNs() const {
    double waitingNs = 0;
    for (const QueueEntry& entry : queue_) {
      const ModelLimits& model = models_[entry.model];
      const std::int64_t length = TokensOfRow(entry.lengths);
      const double bestNs = model.cost->BestRowNs(length) * static_cast<double>(entry.rows);
      waitingNs += (model.rowsMax > 1 ? bestNs : model.cost->RunNs(entry.rows, length)) * model.ratio.median;
    }
    return RunningNs() + static_cast<std::int64_t>(waitingNs);
  }

  std::int64_t RunningNs() const {
    std::int64_t runningNs = 0;
    for (const Executor& executor : executors_) {
      if (executor.isRunning) runningNs += std::max<std::int64_t>(0, executor.predictedEndNs - nowNs_);
    }
    return runningNs;
  }

  void StartRuns() {
    for (Executor& executor : executors_) {
      if (executor.isRunning) continue;
      Expire();
      if (queue_.empty()) return;
      waitingItems_ += queue_.size();
      const Choice choice = ChooseNext(queue_, nowNs_,
                                       {.lane = plan_.lane,
                                        .models = models_,
                                        .executors = plan_.executors,
                                        .runningNs = RunningNs(),
                                        .ageMaxNs = plan_.ageMaxNs,
                                        .waitingWeight = plan_.waitingWeight,
                                        .ageStepNs = plan_.ageStepNs});
      executor.members = TakeOut(choice.indices);
      Start(executor, choice.predictedNs);
    }
  }

  void Expire() {
    for (std::size_t i = queue_.size(); i-- > 0;) {
      if (queue_[i].deadlineNs == 0 || queue_[i].deadlineNs > nowNs_) continue;
      const auto [entry, sample] = TakeAt(i);
      ++report_.expired;
      waitsNs_.push_back(entry.deadlineNs - entry.enqueuedNs);
      Learn(entry, sample);
    }
  }

  std::vector<Member> TakeOut(std::vector<std::size_t> indices) {
    std::sort(indices.begin(), indices.end(), std::greater<>());
    std::vector<Member> taken;
    for (const std::size_t index : indices) taken.push_back(TakeAt(index));
    return taken;
  }

  // The last item takes its place.
  Member TakeAt(std::size_t index) {
    const Member taken{queue_[index], samples_[index]};
    queue_[index] = queue_.back();
    samples_[index] = samples_.back();
    queue_.pop_back();
    samples_.pop_back();
    return taken;
  }

  void Start(Executor& executor, std::int64_t predictedNs) {
    RunShape shape;
    const ModelLimits& model = models_[executor.members[0].entry.model];
    for (const auto& [entry, sample] : executor.members) {
      shape = shape.With({.rows = entry.rows, .lengths = entry.lengths});
      realTokens_ += entry.rows * TokensOfRow(entry.lengths);
      leastNs_ += static_cast<double>(entry.rows) * model.cost->BestRowNs(TokensOfRow(entry.lengths));
      waitsNs_.push_back(nowNs_ - entry.enqueuedNs);
    }
    executor.isRunning = true;
    executor.model = executor.members[0].entry.model;
    executor.tableNs = model.cost->RunNs(shape.rows, TokensOfRow(shape.lengths));
    executor.measuredNs = executor.tableNs * (1 + plan_.noise * (2 * std::generate_canonical<double, 32>(random_) - 1));
    executor.endNs = nowNs_ + std::max<std::int64_t>(1, static_cast<std::int64_t>(executor.measuredNs));
    executor.predictedEndNs = nowNs_ + predictedNs;
    ++report_.runs;
    rows_ += shape.rows;
    paddedTokens_ += shape.rows * TokensOfRow(shape.lengths);
    spentNs_ += executor.tableNs;
    busyNs_ += executor.measuredNs;
  }

  SimulationReport Summarize() {
    report_.items = static_cast<std::int64_t>(trace_.size());
    report_.answered = static_cast<std::int64_t>(latenciesNs_.size());
    report_.simulatedNs = std::max<std::int64_t>(lastAnswerNs_, trace_.back().arrivalNs) - trace_.front().arrivalNs;
    const auto seconds = static_cast<double>(std::max<std::int64_t>(1, report_.simulatedNs)) / 1e9;
    report_.goodput = static_cast<double>(report_.answered - report_.late) / seconds;
    report_.latency = PercentilesOf(std::move(latenciesNs_));
    report_.wait = PercentilesOf(std::move(waitsNs_));
    report_.busyShare = busyNs_ / 1e9 / seconds / static_cast<double>(plan_.executors);
    if (report_.runs == 0) return report_;
    report_.waitingItems = static_cast<double>(waitingItems_) / static_cast<double>(report_.runs);
    report_.rowsPerRun = static_cast<double>(rows_) / static_cast<double>(report_.runs);
    report_.paddedShare = 1 - static_cast<double>(realTokens_) / static_cast<double>(paddedTokens_);
    report_.regret = spentNs_ / leastNs_;
    return report_;
  }

  const std::span<const TraceItem> trace_;
  const SimulationPlan& plan_;
  std::vector<ModelLimits> models_;
  std::vector<RatioTracker> ratios_;
  std::vector<Executor> executors_;
  std::mt19937 random_;
  std::int64_t nowNs_ = 0;
  std::size_t arrived_ = 0;
  std::vector<QueueEntry> queue_;
  std::vector<WaitSample> samples_;  // of the items in queue_
  double waitFactor_ = kWaitFactorStart;
  // Sums for the report.
  SimulationReport report_;
  std::vector<std::int64_t> latenciesNs_;
  std::vector<std::int64_t> waitsNs_;
  std::int64_t lastAnswerNs_ = 0;
  std::size_t waitingItems_ = 0;
  std::int64_t rows_ = 0;
  std::int64_t realTokens_ = 0;
  std::int64_t paddedTokens_ = 0;
  double spentNs_ = 0;
  double leastNs_ = 0;
  double busyNs_ = 0;
};

}  // namespace

SimulationReport Simulate(std::span<const TraceItem> trace, const SimulationPlan& plan) {
  Check(trace, plan);
  return Simulation(trace, plan).Run();
}

}  // namespace interleave
