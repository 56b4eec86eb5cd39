#include "run/worker.h"

#include <cstdio>

namespace interleave {
namespace {

// After Close every item is answered; this bounds how long clients may take to be told.
constexpr std::chrono::milliseconds kFlushMax{1000};

void LogChannel(std::string_view message) {
  std::fprintf(stderr, "interleave worker: channel: %.*s\n", static_cast<int>(message.size()), message.data());
}

std::function<void()> IoThreadOf(Lane lane) {
  if (lane == Lane::kBatch) return {};
  return [] { IsolateFrontThread(); };
}

}  // namespace

Worker::Worker(WorkerOptions options, std::shared_ptr<const ort::OrtLibrary> library)
    : id_(std::move(options.id)),
      lane_(options.plan.lane),
      engine_(std::move(options.plan)),
      awakeCpus_({.lane = lane_,
                  .isWanted = options.awake.count() > 0,
                  .cpus = engine_.executorCpus(),
                  .loopRefusal = std::move(options.loopRefusal)}),
      server_(ServerOptions(std::move(options.socketPath), options.awake), engine_, ReportJson()) {
  engine_.LoadModels(std::move(library), [this] { Publish(); });
}

Worker::~Worker() { Close(); }

ChannelServerOptions Worker::ServerOptions(std::string socketPath, std::chrono::milliseconds awake) {
  ChannelServerOptions options{
      .socketPath = std::move(socketPath), .log = LogChannel, .prepareThread = IoThreadOf(lane_)};
  if (awakeCpus_.tool().state != ToolState::kActive) return options;
  options.onActivity = [this](bool isBusy) { isBusy ? awakeCpus_.Hold() : awakeCpus_.Release(); };
  options.quietAfter = awake;
  return options;
}

bool Worker::Drain(std::chrono::milliseconds timeout) {
  return engine_.Drain(std::chrono::nanoseconds(timeout).count());
}

void Worker::Close() {
  engine_.Close();
  server_.Stop(kFlushMax);
  awakeCpus_.Release();  // the I/O thread is gone
}

void Worker::ChangeModels(std::span<const std::uint32_t> retired, std::vector<ModelPlan> added) {
  for (const std::uint32_t revision : retired) engine_.Retire(revision);
  engine_.AddModels(std::move(added));
  Publish();
}

void Worker::Confirm(std::uint32_t revision, const std::string& reason) {
  engine_.Confirm(revision, reason);
  Publish();
}

void Worker::SetCostTable(std::uint32_t revision, CostGrid grid) {
  engine_.SetCostTable(revision, std::move(grid));
  Publish();
}

void Worker::TellChanges() {
  const bool hasMoved = engine_.TakeRatioMoves();
  if (hasMoved || engine_.IsLoadingForLong()) Publish();
}

void Worker::Publish() {
  const std::scoped_lock lock(publishMutex_);
  server_.PublishText(ReportJson());
}

std::string Worker::ReportJson() const { return WorkerReportJson(id_, lane_, engine_.models()); }

}  // namespace interleave
