//! `envelope rm`: deletes objects.

use crate::{
    args::Rm,
    failure::Failure,
    store::{object, runtime},
};

pub(crate) fn run(args: &Rm) -> Result<(), Failure> {
    let runtime = runtime()?;
    for address in &args.objects {
        object(address)?;
    }
    for address in &args.objects {
        let store = args.bucket.store(&address.location)?;
        let outcome = runtime.block_on(store.delete(&address.key));
        outcome.map_err(|error| Failure::from(error).about(address))?;
    }
    Ok(())
}
