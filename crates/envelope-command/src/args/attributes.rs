//! What an object is besides its bytes and its envelope.

use envelope_store::Attributes;

use super::entry;

/// Attributes of the objects that are written. All of them are in the clear.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Attributes of the object")]
pub(crate) struct ObjectAttributes {
    /// The Content-Type of the object; by default, it is guessed from its name.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// The Cache-Control of the object.
    #[arg(long, value_name = "VALUE")]
    cache_control: Option<String>,
    /// The Content-Disposition of the object.
    #[arg(long, value_name = "VALUE")]
    content_disposition: Option<String>,
    /// The storage class, in the words of the vendor, such as IA of OSS or STANDARD_IA of COS.
    #[arg(long, value_name = "CLASS")]
    storage_class: Option<String>,
    /// Who may access the object, in the words of the vendor: `private`, `public-read`, or
    /// `default`, which is that of the bucket.
    #[arg(long, value_name = "ACCESS")]
    acl: Option<String>,
    /// Metadata of your own, without the prefix of the vendor. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = entry)]
    metadata: Vec<(String, String)>,
    /// A tag of the object, which has ten at most. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = entry)]
    tag: Vec<(String, String)>,
}

impl ObjectAttributes {
    /// Returns the attributes of an object, whose content type is this one if the arguments have
    /// none.
    pub(crate) fn of(&self, guessed: &str) -> Attributes {
        self.given().with_content_type(self.content_type.as_deref().unwrap_or(guessed))
    }

    /// Returns the attributes that the arguments name.
    pub(crate) fn given(&self) -> Attributes {
        let mut attributes = Attributes::new();
        if let Some(value) = &self.content_type {
            attributes = attributes.with_content_type(value);
        }
        if let Some(value) = &self.cache_control {
            attributes = attributes.with_cache_control(value);
        }
        if let Some(value) = &self.content_disposition {
            attributes = attributes.with_content_disposition(value);
        }
        if let Some(class) = &self.storage_class {
            attributes = attributes.with_storage_class(class);
        }
        if let Some(access) = &self.acl {
            attributes = attributes.with_access(access);
        }
        for (name, value) in &self.metadata {
            attributes = attributes.with_metadata(name, value);
        }
        for (name, value) in &self.tag {
            attributes = attributes.with_tag(name, value);
        }
        attributes
    }
}
