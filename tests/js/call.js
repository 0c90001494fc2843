// node call.js TARGET METHOD COUNT: calls a unary method with an empty message so often and prints how many calls were answered.
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();
const [target, path, count] = process.argv.slice(2);
const same = bytes => bytes;
const Client = grpc.makeGenericClientConstructor({ call: { path, requestStream: false, responseStream: false, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same } }, 'any');
const client = new Client(target, grpc.credentials.createInsecure());
let answered = 0, last = '';
function next(left) {
  if (left === 0) {
    console.log(`${answered} of ${count} answered ${last}`);
    process.exit(answered === Number(count) ? 0 : 1);
  }
  client.call(Buffer.alloc(0), new grpc.Metadata(), { deadline: Date.now() + 10000 }, (error, _) => {
    if (error) last = `${error.code} ${error.details}`; else answered++;
    next(left - 1);
  });
}
next(Number(count));
