// The export table of the addon: one line per export, same names and same order as lib/addon.ts.
#include <napi.h>

#include "binding/client.h"
#include "binding/control.h"
#include "binding/cost.h"
#include "binding/isolation.h"
#include "binding/net.h"
#include "binding/simulate.h"
#include "binding/text.h"
#include "binding/worker.h"

namespace interleave::binding {
namespace {

using Function = Napi::Value (*)(const Napi::CallbackInfo&);

constexpr struct {
  const char* name;
  Function function;
} kExports[] = {
    {"channelConnect", ChannelConnect},
    {"channelSubmit", ChannelSubmit},
    {"channelCancel", ChannelCancel},
    {"channelReceive", ChannelReceive},
    {"channelClose", ChannelClose},
    {"workerStart", WorkerStart},
    {"workerChangeModels", WorkerChangeModels},
    {"workerLoads", WorkerLoads},
    {"workerLeaving", WorkerLeaving},
    {"workerConfirm", WorkerConfirm},
    {"workerModels", WorkerModels},
    {"workerStats", WorkerStats},
    {"workerIsolation", WorkerIsolation},
    {"workerIdleLatency", WorkerIdleLatency},
    {"workerAwakeSeconds", WorkerAwakeSeconds},
    {"workerService", WorkerService},
    {"workerMeasure", WorkerMeasure},
    {"workerSetCostTable", WorkerSetCostTable},
    {"workerTellChanges", WorkerTellChanges},
    {"workerDrain", WorkerDrain},
    {"workerClose", WorkerClose},
    {"isolateFront", IsolateFront},
    {"isolateProcess", IsolateProcess},
    {"isolateDiskWork", IsolateDiskWork},
    {"measureWakeups", MeasureWakeups},
    {"spinAsBatch", SpinAsBatch},
    {"listeningSocketOpen", ListeningSocketOpen},
    {"descriptorCopy", DescriptorCopy},
    {"controlPageOpen", ControlPageOpen},
    {"controlPageControl", ControlPageControl},
    {"controlPageRead", ControlPageRead},
    {"costTableCreate", CostTableCreate},
    {"costTableRunNs", CostTableRunNs},
    {"costTableBestRowNs", CostTableBestRowNs},
    {"admit", Admit},
    {"waitFactorAfter", WaitFactorAfter},
    {"inspectRuntime", InspectRuntime},
    {"simulate", Simulate},
    {"shortenFloats", ShortenFloats},
    {"writeFloats", WriteFloats},
    {"doublesText", DoublesText},
};

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  for (const auto& entry : kExports) exports.Set(entry.name, Napi::Function::New(env, entry.function, entry.name));
  return exports;
}

NODE_API_MODULE(interleave_native, Init)

}  // namespace
}  // namespace interleave::binding
